// What our processes run with, in tests and measurements alike.

/**
 * Large allocations in huge pages (glibc 2.35 and later): on a virtual machine the first access to a page costs more
 * than most that is done with it. It takes effect in a process that is started with it.
 */
export const HUGE_PAGES = { GLIBC_TUNABLES: "glibc.malloc.hugetlb=1" };

/** Where this is set, every start of Node parses the whole file: 40 ms for a system's certificates. */
export const CERTIFICATES = "NODE_EXTRA_CA_CERTS";
