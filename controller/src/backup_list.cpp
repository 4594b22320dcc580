#include "backup_list.hpp"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::controller {
namespace {

constexpr std::string_view kBackupFormat = "skerry-controller-backup/1";

Error bad_backup(const std::string& why) {
  return Error{Error::Code::kParse, "not a backup of a controller: " + why};
}

bool is_plain(const std::string& path) {
  if (path.empty() || path.size() > 1024 || path.front() == '/' ||
      path.find('\0') != std::string::npos) {
    return false;
  }
  const std::filesystem::path parts{path};
  return std::none_of(parts.begin(), parts.end(), [](const std::filesystem::path& part) {
    return part == "." || part == ".." || part.empty();
  });
}

}  // namespace

Result<BackupList> parse_backup_list(std::string_view text) {
  JsonLimits limits;
  limits.bytes = kMaxBackupList;
  const auto json = Json::parse(text, limits);
  if (!json) {
    return bad_backup(json.error().message());
  }
  const auto taken = parse_rfc3339(json->get_string("taken").value_or(""));
  const auto files = json->get_array("files");
  if (json->get_string("format").value_or("") != kBackupFormat || !taken || !files) {
    return bad_backup("it is not of format " + std::string{kBackupFormat});
  }
  BackupList list;
  list.taken = *taken;
  std::set<std::string, std::less<>> paths;
  for (const Json& one : *(*files)->array()) {
    const auto path = one.get_string("path");
    const auto size = one.get_int("size");
    const auto digest = Digest::from_hex(one.get_string("sha256").value_or(""));
    if (!path || !size || *size < 0 || !digest || !is_plain(*path)) {
      return bad_backup("a file with a bad path, size or digest");
    }
    if (!paths.insert(*path).second) {
      return bad_backup(path->substr(0, 256) + " is listed twice");
    }
    list.entries.push_back({*path, static_cast<std::uint64_t>(*size), *digest});
  }
  return list;
}

std::string serialise_backup_list(const BackupList& list) {
  Json::Array files;
  for (const auto& entry : list.entries) {
    files.emplace_back(
        Json::Object{{"path", entry.path}, {"size", entry.size}, {"sha256", entry.digest.hex()}});
  }
  const Json document = Json::Object{{"format", std::string{kBackupFormat}},
                                     {"taken", to_rfc3339(list.taken)},
                                     {"files", std::move(files)}};
  return document.dump_pretty() + "\n";
}

}  // namespace skerry::controller
