/** What Xen's save files begin with; see `records.ts`. */
export const XL_MAGIC = "Xen saved domain, xl format\n \0 \r";
export const LIBVIRT_XEN_MAGIC = "libvirt-xml\n \0 \r";
export const LIBXL_MAGIC = "LibxlFmt";
export const LIBXC_MAGIC = "\xff\xff\xff\xff\xff\xff\xff\xffXENF";
/** Before a device model's stream; the last one without a length. */
export const SIGNATURES = ["DeviceModelRecord0002", "RemusDeviceModelState", "QemuDeviceModelRecord"] as const;
