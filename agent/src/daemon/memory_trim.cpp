#include "memory_trim.hpp"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <malloc.h>

#include <sys/mman.h>

#include "skerry/agent/metrics.hpp"

namespace skerry::agent {

void trim_memory(const Log& log) {
  const std::uint64_t before = process_use().resident;
  ::malloc_trim(0);
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  if (maps == nullptr) {
    return;
  }
  char line[512];
  while (std::fgets(line, sizeof line, maps) != nullptr) {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
    char mode[5] = {};
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &begin, &end, mode) != 3) {
      continue;
    }
    // Executable, private, never writable: its pages are the file's own. Read-only data is left
    // alone, since part of it was relocated.
    if (std::strcmp(mode, "r-xp") == 0 && std::strchr(line, '/') != nullptr) {
      // NOLINTNEXTLINE(performance-no-int-to-ptr): the kernel writes addresses as numbers
      ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
  }
  std::fclose(maps);
  log.debug("memory.trimmed",
            {{"resident_before", before}, {"resident_after", process_use().resident}});
}

}  // namespace skerry::agent
