#include "skerry/registry/device_profile.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <sys/utsname.h>

namespace skerry::registry {
namespace {

constexpr std::size_t kFileLimit = 4U << 20U;

// A file that cannot be read counts as empty: not every kernel has every one.
std::string read_or_empty(FileSystem& fs, const std::filesystem::path& path) {
  auto content = read_file(fs, path, kFileLimit);
  return content ? std::move(*content) : std::string{};
}

template <class Use>
void for_each_line(std::string_view text, Use use) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    use(text.substr(0, end));
    if (end == std::string_view::npos) {
      return;
    }
    text.remove_prefix(end + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::optional<std::uint64_t> leading_number(std::string_view text) {
  text = trim(text);
  std::uint64_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end == text.data()) {
    return std::nullopt;
  }
  return value;
}

struct KeyValue {
  std::string_view key;
  std::string_view value;
};

KeyValue split_at_colon(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) {
    return {trim(line), {}};
  }
  return {trim(line.substr(0, colon)), trim(line.substr(colon + 1))};
}

void read_cpus(std::string_view text, DeviceProfile& profile) {
  for_each_line(text, [&](std::string_view line) {
    const auto [key, value] = split_at_colon(line);
    if (key == "processor") {
      ++profile.cpus;
    }
    // "flags" on x86, "Features" on ARM, "isa" on RISC-V. All cores agree on what matters here.
    if ((key == "flags" || key == "Features" || key == "isa") && profile.isa.empty()) {
      std::string_view rest = value;
      while (!rest.empty()) {
        const auto space = rest.find(' ');
        if (const auto flag = rest.substr(0, space); !flag.empty()) {
          profile.isa.emplace(flag);
        }
        rest = space == std::string_view::npos ? std::string_view{} : rest.substr(space + 1);
      }
    }
  });
}

void read_memory(std::string_view text, DeviceProfile& profile) {
  for_each_line(text, [&](std::string_view line) {
    const auto [key, value] = split_at_colon(line);
    const auto kibibytes = leading_number(value);
    if (!kibibytes) {
      return;
    }
    if (key == "MemTotal") {
      profile.memory_total = *kibibytes << 10U;
    } else if (key == "MemAvailable") {
      profile.memory_available = *kibibytes << 10U;
    }
  });
}

struct CgroupMemory {
  std::filesystem::path folder;
  const char* limit = "";
  const char* usage = "";
  const char* cache = "";  // of memory.stat
};

// /proc/self/cgroup: "0::/path" (v2) or "N:memory:/path" (v1).
std::optional<CgroupMemory> find_cgroup(std::string_view text, const std::filesystem::path& root) {
  std::optional<CgroupMemory> found;
  for_each_line(text, [&](std::string_view line) {
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) {
      return;
    }
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto path = std::filesystem::path{line.substr(second + 1)}.relative_path();
    if (controllers == "memory") {
      found = CgroupMemory{root / "memory" / path,
                           "memory.limit_in_bytes",
                           "memory.usage_in_bytes",
                           "total_inactive_file"};
    } else if (controllers.empty() && !found) {
      found = CgroupMemory{root / path, "memory.max", "memory.current", "inactive_file"};
    }
  });
  return found;
}

// Page cache that nobody uses counts as used, but the kernel gives it back before it refuses.
std::uint64_t unused_cache(std::string_view stat, std::string_view key) {
  std::uint64_t bytes = 0;
  for_each_line(stat, [&](std::string_view line) {
    if (line.starts_with(key) && line.substr(key.size()).starts_with(' ')) {
      bytes = leading_number(line.substr(key.size())).value_or(0);
    }
  });
  return bytes;
}

// The limit may stand in any ancestor of the process's own group.
void apply_cgroup(FileSystem& fs, const HardwarePaths& paths, DeviceProfile& profile) {
  auto group = find_cgroup(read_or_empty(fs, paths.proc / "self" / "cgroup"), paths.cgroup);
  if (!group) {
    return;
  }
  for (;;) {
    const auto limit = leading_number(read_or_empty(fs, group->folder / group->limit));
    if (limit && *limit < profile.memory_total) {
      const auto usage =
          leading_number(read_or_empty(fs, group->folder / group->usage)).value_or(0);
      const auto cache =
          unused_cache(read_or_empty(fs, group->folder / "memory.stat"), group->cache);
      const auto used = std::min(usage > cache ? usage - cache : 0, *limit);
      profile.memory_total = *limit;
      profile.memory_available = std::min(profile.memory_available, *limit - used);
    }
    if (group->folder == paths.cgroup || !group->folder.has_relative_path() ||
        group->folder == group->folder.parent_path()) {
      return;
    }
    group->folder = group->folder.parent_path();
  }
}

}  // namespace

Result<DeviceProfile> detect_hardware(FileSystem& fs,
                                      const std::filesystem::path& storage,
                                      const HardwarePaths& paths) {
  DeviceProfile profile;
  struct utsname name {};
  if (::uname(&name) == 0) {
    profile.arch = name.machine;
  }
  read_cpus(read_or_empty(fs, paths.proc / "cpuinfo"), profile);
  read_memory(read_or_empty(fs, paths.proc / "meminfo"), profile);
  apply_cgroup(fs, paths, profile);
  const auto free = fs.free_space(storage);
  if (!free) {
    return free.error().with_context("detecting hardware");
  }
  profile.disk_free = *free;
  return profile;
}

}  // namespace skerry::registry
