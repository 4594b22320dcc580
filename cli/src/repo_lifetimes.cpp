#include "skerry/cli/repo_lifetimes.hpp"

#include <array>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::cli {
namespace {

using Lifetimes = security::tuf::RepositoryLifetimes;

constexpr std::string_view kLifetimesFile = "lifetimes.json";
constexpr std::int64_t kMostDays = 3650;
constexpr std::int64_t kHoursOfDay = 24;

constexpr std::array kLifetimeMembers{
    std::pair{std::string_view{"root"}, &Lifetimes::root},
    std::pair{std::string_view{"targets"}, &Lifetimes::targets},
    std::pair{std::string_view{"snapshot"}, &Lifetimes::snapshot},
    std::pair{std::string_view{"timestamp"}, &Lifetimes::timestamp},
};

}  // namespace

Lifetimes offline_lifetimes() {
  constexpr std::chrono::hours kYear{365 * kHoursOfDay};
  return {3 * kYear, kYear, kYear, kYear};
}

Result<Lifetimes> load_lifetimes(FileSystem& fs, const std::filesystem::path& folder) {
  Lifetimes lifetimes;
  const auto file = folder / kLifetimesFile;
  if (!fs.exists(file)) {
    return lifetimes;
  }
  const auto text = read_file(fs, file, 4096);
  if (!text) {
    return text.error();
  }
  const auto json = Json::parse(*text);
  if (!json) {
    return json.error().with_context(file.string());
  }
  for (const auto& [name, member] : kLifetimeMembers) {
    const auto days = json->get_int(name);
    if (!days) {
      return days.error().with_context(file.string());
    }
    if (*days < 1 || *days > kMostDays) {
      return Error{Error::Code::kParse,
                   file.string() + ": " + std::string{name} + " must be 1 to 3650 days"};
    }
    lifetimes.*member = std::chrono::hours{*days * kHoursOfDay};
  }
  return lifetimes;
}

Result<void> save_lifetimes(FileSystem& fs,
                            const std::filesystem::path& folder,
                            const Lifetimes& lifetimes) {
  Json::Object object;
  for (const auto& [name, member] : kLifetimeMembers) {
    object.emplace(std::string{name}, std::int64_t{(lifetimes.*member).count() / kHoursOfDay});
  }
  return write_file_atomic(
      fs, folder / kLifetimesFile, Json{std::move(object)}.dump_pretty() + "\n", 0644);
}

}  // namespace skerry::cli
