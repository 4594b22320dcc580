#include "target_download.hpp"

#include "http_get.hpp"

namespace skerry::conformance {

namespace tuf = security::tuf;

namespace {

// The whole of a target is verified in memory before a byte of it is written.
constexpr std::uint64_t kMaxTarget = 512U << 20U;
constexpr std::size_t kMaxName = 200;

// TUF 5.7.3: with consistent snapshots a target is asked for as "dir/HASH.name".
std::string served_path(const tuf::TargetFile& target,
                        std::string_view path,
                        bool consistent_snapshot) {
  if (!consistent_snapshot) {
    return std::string{path};
  }
  auto hash = target.hashes.find("sha256");
  if (hash == target.hashes.end()) {
    hash = target.hashes.begin();
  }
  const std::size_t slash = path.rfind('/');
  const std::size_t name = slash == std::string_view::npos ? 0 : slash + 1;
  return std::string{path.substr(0, name)} + hash->second + "." + std::string{path.substr(name)};
}

}  // namespace

std::filesystem::path target_file(const std::filesystem::path& directory, std::string_view path) {
  std::string name = tuf::encode_role_name(tuf::RoleName{std::string{path}});
  if (name.front() == '.') {
    name.replace(0, 1, "%2E");
  }
  return directory / (name.size() <= kMaxName ? name : Digest::of(path).hex());
}

Result<void> download_target(FileSystem& fs,
                             const tuf::TargetFile& target,
                             std::string_view path,
                             bool consistent_snapshot,
                             const std::string& base_url,
                             const std::filesystem::path& directory) {
  if (target.length > kMaxTarget) {
    return Error{Error::Code::kTooLarge,
                 std::string{path} + " has " + std::to_string(target.length) + " bytes"};
  }
  const auto file = target_file(directory, path);
  if (const auto held = read_file(fs, file, kMaxTarget); held && target.check(*held)) {
    return {};
  }
  const std::string url =
      join_url(base_url, encode_url_path(served_path(target, path, consistent_snapshot)));
  // TUF 5.7.3: not a byte more than was signed.
  auto bytes = http_get(url, target.length);
  if (!bytes) {
    return bytes.error();
  }
  if (auto good = target.check(*bytes); !good) {
    return good.error().with_context(path);
  }
  if (auto made = fs.create_directories(directory); !made) {
    return made;
  }
  return write_file_atomic(fs, file, *bytes);
}

}  // namespace skerry::conformance
