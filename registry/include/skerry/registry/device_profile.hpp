#pragma once

// What this machine can run: architecture, instruction sets, memory, disk, engines. Variant choice
// compares it with a manifest's needs; the agent reports it as inventory. `detect_hardware` fills
// what the kernel knows; the agent adds its engines and its memory ledger.

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/semantic_version.hpp"

namespace skerry::registry {

struct RuntimeProfile {
  std::string plugin;  // "llamacpp"
  SemanticVersion engine_version;
  std::vector<std::string> formats;       // "gguf"
  std::vector<std::string> accelerators;  // "cpu" …

  friend bool operator==(const RuntimeProfile&, const RuntimeProfile&) = default;
};

struct DeviceProfile {
  std::string arch;                        // "x86_64", "aarch64"
  std::set<std::string, std::less<>> isa;  // the kernel's flag names: "avx2", "asimd"
  std::uint32_t cpus = 0;
  std::uint64_t memory_total = 0;      // the smaller of RAM and the cgroup's limit
  std::uint64_t memory_available = 0;  // what a model may take; the agent's ledger overrides it
  std::uint64_t disk_free = 0;
  // Models lie encrypted: who runs one needs memory for its decrypted files besides.
  bool encrypts = false;
  std::vector<RuntimeProfile> runtimes;

  friend bool operator==(const DeviceProfile&, const DeviceProfile&) = default;
};

// Where the kernel's files are; tests point it at a folder of their own.
struct HardwarePaths {
  std::filesystem::path proc = "/proc";
  std::filesystem::path cgroup = "/sys/fs/cgroup";
};

// Reads /proc/cpuinfo, /proc/meminfo and the process's cgroup (v1 or v2) memory limit, and the free
// space at `storage`. A file that is missing leaves its fields at zero; kIo only if `storage`
// cannot be asked. `runtimes` stays empty.
Result<DeviceProfile> detect_hardware(FileSystem& fs,
                                      const std::filesystem::path& storage,
                                      const HardwarePaths& paths = {});

}  // namespace skerry::registry
