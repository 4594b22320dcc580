#include "cpu_meter.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace skerry::runtime {
namespace {

constexpr double kMicro = 1e-6;

// Takes the next word of the line; empty at its end.
std::string_view next_word(std::string_view& line) {
  const std::size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  line.remove_prefix(begin);
  const std::size_t length = std::min(line.find_first_of(" \t\n"), line.size());
  const std::string_view word = line.substr(0, length);
  line.remove_prefix(length);
  return word;
}

std::string_view next_line(std::string_view& text) {
  const std::size_t length = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, length);
  text.remove_prefix(std::min(length + 1, text.size()));
  return line;
}

template <class Number>
std::optional<Number> to_number(std::string_view word) {
  Number value{};
  const auto [end, ec] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (ec != std::errc{} || end != word.data() + word.size() || word.empty()) {
    return std::nullopt;
  }
  return value;
}

std::optional<double> cores_of(std::string_view quota, std::string_view period) {
  const auto allowed = to_number<std::int64_t>(quota);
  const auto every = to_number<std::int64_t>(period);
  if (!allowed || !every || *allowed <= 0 || *every <= 0) {
    return std::nullopt;
  }
  return static_cast<double>(*allowed) / static_cast<double>(*every);
}

// user nice system idle iowait irq softirq steal: all but idle and iowait.
std::uint64_t busy_ticks(std::string_view line) {
  constexpr int kIdle = 3;
  constexpr int kWaiting = 4;
  constexpr int kFields = 8;
  std::uint64_t sum = 0;
  for (int field = 0; field < kFields; ++field) {
    const auto value = to_number<std::uint64_t>(next_word(line));
    if (!value) {
      break;  // an older kernel has fewer
    }
    if (field != kIdle && field != kWaiting) {
      sum += *value;
    }
  }
  return sum;
}

}  // namespace

std::optional<CpuSample> CpuMeter::sample(const CpuReading& reading) {
  const std::optional<CpuReading> last = std::exchange(last_, reading);
  if (!last || reading.at <= last->at) {
    return std::nullopt;
  }
  CpuSample sample;
  sample.at = reading.at;
  sample.seconds = std::chrono::duration<double>(reading.at - last->at).count();
  sample.cores = reading.cores;
  sample.quota = reading.quota;
  if (reading.busy && last->busy && reading.cores == last->cores) {
    const double taken = (*reading.busy - *last->busy) - (reading.own - last->own);
    sample.others = std::clamp(taken / sample.seconds, 0.0, static_cast<double>(reading.cores));
  }
  if (reading.pressure && last->pressure) {
    sample.pressure = std::clamp((*reading.pressure - *last->pressure) / sample.seconds, 0.0, 1.0);
  }
  sample.throttled = reading.throttled && last->throttled && *reading.throttled > *last->throttled;
  return sample;
}

std::optional<double> parse_busy_time(std::string_view stat,
                                      std::span<const std::uint32_t> cores,
                                      double ticks_per_second) {
  std::uint64_t ticks = 0;
  std::size_t found = 0;
  while (!stat.empty()) {
    std::string_view line = next_line(stat);
    const std::string_view name = next_word(line);
    if (!name.starts_with("cpu")) {
      break;  // the cores come first
    }
    const auto number = to_number<std::uint32_t>(name.substr(3));
    if (number && std::find(cores.begin(), cores.end(), *number) != cores.end()) {
      ticks += busy_ticks(line);
      ++found;
    }
  }
  if (found != cores.size() || cores.empty() || ticks_per_second <= 0) {
    return std::nullopt;
  }
  return static_cast<double>(ticks) / ticks_per_second;
}

std::optional<double> parse_pressure(std::string_view pressure) {
  while (!pressure.empty()) {
    std::string_view line = next_line(pressure);
    if (next_word(line) != "some") {
      continue;
    }
    for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) {
      if (word.starts_with("total=")) {
        const auto micros = to_number<std::uint64_t>(word.substr(6));
        return micros ? std::optional{static_cast<double>(*micros) * kMicro} : std::nullopt;
      }
    }
  }
  return std::nullopt;
}

std::optional<double> parse_cpu_max(std::string_view text) {
  std::string_view line = next_line(text);
  const std::string_view quota = next_word(line);
  return cores_of(quota, next_word(line));
}

std::optional<double> parse_cfs_quota(std::string_view quota, std::string_view period) {
  std::string_view first = next_line(quota);
  std::string_view second = next_line(period);
  return cores_of(next_word(first), next_word(second));
}

std::optional<std::uint64_t> parse_throttled(std::string_view stat) {
  while (!stat.empty()) {
    std::string_view line = next_line(stat);
    if (next_word(line) == "nr_throttled") {
      return to_number<std::uint64_t>(next_word(line));
    }
  }
  return std::nullopt;
}

std::string_view find_cgroup(std::string_view cgroups, std::string_view controller) {
  while (!cgroups.empty()) {
    // "<id>:<controllers>:<path>", cgroups(7).
    const std::string_view line = next_line(cgroups);
    const std::size_t first = line.find(':');
    const std::size_t second = first == line.npos ? line.npos : line.find(':', first + 1);
    if (second == line.npos) {
      continue;
    }
    std::string_view names = line.substr(first + 1, second - first - 1);
    const std::string_view path = line.substr(second + 1);
    if (controller.empty()) {
      if (names.empty()) {
        return path;
      }
      continue;
    }
    while (!names.empty()) {
      const std::size_t length = std::min(names.find(','), names.size());
      if (names.substr(0, length) == controller) {
        return path;
      }
      names.remove_prefix(std::min(length + 1, names.size()));
    }
  }
  return {};
}

}  // namespace skerry::runtime
