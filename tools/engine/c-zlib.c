/*
 * C zlib as QEMU uses it, for measuring: pages from stdin, level 1, windowBits 15, memLevel 8, the state reset before each page.
 *
 *   gcc -O2 -o c-zlib c-zlib.c -lz
 *   c-zlib deflate FILE PAGE_SIZE ROUNDS     pages, back to back
 *   c-zlib inflate FILE PAGE_SIZE ROUNDS     be32 length and payload, repeated
 *
 * For each line "go" on stdin one round over the whole file is measured, and one line is printed: nanoseconds, bytes out. The first
 * line printed is zlib's version.
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static unsigned char *slurp(const char *name, size_t *size) {
  FILE *file = fopen(name, "rb");
  if (!file || fseek(file, 0, SEEK_END)) return NULL;
  *size = (size_t)ftell(file);
  rewind(file);
  unsigned char *bytes = malloc(*size + 1);
  if (!bytes || fread(bytes, 1, *size, file) != *size) return NULL;
  fclose(file);
  return bytes;
}

int main(int count, char **words) {
  size_t size, page;
  char line[16];
  if (count != 4) return 2;
  int inflating = strcmp(words[1], "inflate") == 0;
  unsigned char *bytes = slurp(words[2], &size);
  page = (size_t)atol(words[3]);
  if (!bytes || page == 0 || page > 65536) return 1;
  unsigned char *out = malloc(2 * page + 64);
  z_stream z;
  memset(&z, 0, sizeof z);
  if (!out || (inflating ? inflateInit(&z) : deflateInit(&z, 1)) != Z_OK) return 1;
  printf("%s\n", zlibVersion());
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    uint64_t start = now(), total = 0;
    for (size_t at = 0; at < size;) {
      size_t length = page;
      if (inflating) {
        uint32_t wire;
        memcpy(&wire, bytes + at, 4);
        length = ntohl(wire);
        at += 4;
        inflateReset(&z);
      } else {
        deflateReset(&z);
      }
      z.next_in = bytes + at;
      z.avail_in = (uInt)length;
      z.next_out = out;
      z.avail_out = (uInt)(inflating ? page : 2 * page);
      if ((inflating ? inflate(&z, Z_FINISH) : deflate(&z, Z_FINISH)) != Z_STREAM_END) return 1;
      total += z.total_out;
      at += length;
    }
    printf("%llu %llu\n", (unsigned long long)(now() - start), (unsigned long long)total);
    fflush(stdout);
  }
  return 0;
}
