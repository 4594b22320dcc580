#include "skerry/security/tuf/repository.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "repository_json.hpp"

namespace skerry::security::tuf {

namespace {

Result<void> check_offline(const RoleName& role) {
  if (role != Role::kSnapshot && role != Role::kTimestamp) {
    return {};
  }
  return Error{
      Error::Code::kInvalidArgument,
      role.text() +
          " is signed by the online key when publishing; root, targets and delegated roles are "
          "staged"};
}

std::optional<std::int64_t> version_in_name(std::string_view name, const RoleName& role) {
  const std::string suffix = "." + encode_role_name(role) + ".json";
  if (!name.ends_with(suffix)) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(0, name.size() - suffix.size());
  std::int64_t version = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), version);
  if (ec != std::errc{} || end != digits.data() + digits.size() || version < 1) {
    return std::nullopt;
  }
  return version;
}

}  // namespace

Repository::Repository(FileSystem& fs, std::filesystem::path directory)
    : fs_(fs), directory_(std::move(directory)) {}

std::filesystem::path Repository::metadata_path(std::string_view name) const {
  return directory_ / "metadata" / name;
}

std::filesystem::path Repository::staging_path(const RoleName& role) const {
  return directory_ / "staging" / (encode_role_name(role) + ".json");
}

Result<std::unique_ptr<Repository>> Repository::init(FileSystem& fs,
                                                     std::filesystem::path directory,
                                                     const RootSetup& setup,
                                                     const RepositoryLifetimes& lifetimes,
                                                     WallTime now) {
  auto root = make_root(setup, 1, now + lifetimes.root, now);
  if (!root) {
    return std::move(root).error();
  }
  if (fs.exists(directory / "metadata")) {
    return Error{Error::Code::kAlreadyExists, directory.string() + " holds a repository already"};
  }
  for (const char* name : {"staging", "metadata"}) {
    if (auto made = fs.create_directories(directory / name); !made) {
      return made.error().with_context("making the repository");
    }
  }
  std::unique_ptr<Repository> repository{new Repository(fs, std::move(directory))};
  Json::Object targets = common_fields(Role::kTargets, 1, now + lifetimes.targets, now);
  targets.emplace("targets", Json::Object{});
  if (auto staged = repository->stage(Role::kRoot, Json{std::move(*root)}); !staged) {
    return staged.error();
  }
  if (auto staged = repository->stage(Role::kTargets, Json{std::move(targets)}); !staged) {
    return staged.error();
  }
  return repository;
}

Result<std::unique_ptr<Repository>> Repository::open(FileSystem& fs,
                                                     std::filesystem::path directory) {
  if (!fs.exists(directory / "metadata")) {
    return Error{Error::Code::kNotFound,
                 directory.string() + " holds no repository; run 'skerry repo init'"};
  }
  return std::unique_ptr<Repository>{new Repository(fs, std::move(directory))};
}

Result<std::int64_t> Repository::latest_version(const RoleName& role) const {
  auto names = fs_.list(directory_ / "metadata");
  if (!names) {
    return names.error().with_context("repository");
  }
  std::int64_t latest = 0;
  for (const std::string& name : *names) {
    latest = std::max(latest, version_in_name(name, role).value_or(0));
  }
  return latest;
}

Result<std::optional<std::string>> Repository::load_published(const RoleName& role) const {
  std::string name = "timestamp.json";
  if (role != Role::kTimestamp) {
    auto version = latest_version(role);
    if (!version) {
      return std::move(version).error();
    }
    if (*version == 0) {
      return std::optional<std::string>{};
    }
    name = std::to_string(*version) + "." + encode_role_name(role) + ".json";
  }
  auto bytes = read_file(fs_, metadata_path(name), MetadataLimits::bytes(shape_of(role)));
  if (bytes) {
    return std::optional<std::string>{std::move(*bytes)};
  }
  if (bytes.error().code() == Error::Code::kNotFound) {
    return std::optional<std::string>{};
  }
  return bytes.error().with_context("repository");
}

Result<std::optional<std::string>> Repository::load_staged(const RoleName& role) const {
  auto bytes = read_file(fs_, staging_path(role), MetadataLimits::bytes(shape_of(role)));
  if (bytes) {
    return std::optional<std::string>{std::move(*bytes)};
  }
  if (bytes.error().code() == Error::Code::kNotFound) {
    return std::optional<std::string>{};
  }
  return bytes.error().with_context("repository");
}

Result<Envelope<Root>> Repository::governing_root() const {
  auto bytes = load_staged(Role::kRoot);
  if (bytes && !*bytes) {
    bytes = load_published(Role::kRoot);
  }
  if (!bytes) {
    return std::move(bytes).error();
  }
  if (!*bytes) {
    return Error{Error::Code::kFailedPrecondition, "the repository has no root"};
  }
  return parse_root(**bytes);
}

Result<void> Repository::stage(const RoleName& role, Json signed_part) {
  const std::string bytes = encode_file(std::move(signed_part), {});
  // What is staged can always be read back: limits are met here and not when it is published.
  if (auto parsed = parse_any(role, bytes); !parsed) {
    return parsed.error().with_context("staging " + role.text());
  }
  if (auto written = write_file_atomic(fs_, staging_path(role), bytes); !written) {
    return written.error().with_context("staging " + role.text());
  }
  return {};
}

// The content of the staged file, or of the published one under the next version.
Result<Json> Repository::next_signed(const RoleName& role,
                                     const RepositoryLifetimes& lifetimes,
                                     WallTime now) const {
  auto bytes = load_staged(role);
  const bool is_staged = bytes && *bytes;
  if (bytes && !*bytes) {
    bytes = load_published(role);
  }
  if (!bytes) {
    return std::move(bytes).error();
  }
  if (!*bytes) {
    return Error{Error::Code::kFailedPrecondition, "the repository has no " + role.text()};
  }
  auto signed_part = signed_part_of(**bytes, to_string(role));
  if (!signed_part) {
    return signed_part;
  }
  Json::Object& object = *signed_part->object();
  if (!is_staged) {
    auto version = signed_part->get_int("version");
    if (!version) {
      return std::move(version).error();
    }
    object["version"] = Json{*version + 1};
  }
  object["expires"] =
      Json{to_rfc3339(now + (role == Role::kRoot ? lifetimes.root : lifetimes.targets))};
  object["x-skerry-issued"] = Json{to_rfc3339(now)};
  return signed_part;
}

Result<void> Repository::add_target(std::string_view path,
                                    const TargetFile& target,
                                    const RepositoryLifetimes& lifetimes,
                                    WallTime now,
                                    const RoleName& role) {
  if (auto checked = check_target_path(path); !checked) {
    return checked;
  }
  if (auto covered = check_covers(role, path); !covered) {
    return covered;
  }
  auto signed_part = next_signed(role, lifetimes, now);
  if (!signed_part) {
    return std::move(signed_part).error();
  }
  Json& targets = (*signed_part->object())["targets"];
  if (!targets.is_object()) {
    return Error{Error::Code::kParse, "targets metadata without targets"};
  }
  targets.object()->insert_or_assign(std::string{path}, encode_target(target));
  return stage(role, std::move(*signed_part));
}

Result<void> Repository::add_target_content(std::string_view path,
                                            std::string_view content,
                                            const Json& custom,
                                            const RepositoryLifetimes& lifetimes,
                                            WallTime now) {
  TargetFile target;
  target.length = content.size();
  target.hashes.emplace("sha256", Digest::of(content).hex());
  target.custom = custom;
  return add_target(path, target, lifetimes, now);
}

Result<void> Repository::remove_target(std::string_view path,
                                       const RepositoryLifetimes& lifetimes,
                                       WallTime now,
                                       const RoleName& role) {
  auto signed_part = next_signed(role, lifetimes, now);
  if (!signed_part) {
    return std::move(signed_part).error();
  }
  Json& targets = (*signed_part->object())["targets"];
  if (!targets.is_object() || targets.object()->erase(std::string{path}) == 0) {
    return Error{Error::Code::kNotFound,
                 "there is no target '" + std::string{path} + "' in " + role.text()};
  }
  return stage(role, std::move(*signed_part));
}

Result<void> Repository::rotate_root(const RootSetup& setup,
                                     const RepositoryLifetimes& lifetimes,
                                     WallTime now) {
  auto latest = latest_version(Role::kRoot);
  if (!latest) {
    return std::move(latest).error();
  }
  auto root = make_root(setup, *latest + 1, now + lifetimes.root, now);
  if (!root) {
    return std::move(root).error();
  }
  return stage(Role::kRoot, Json{std::move(*root)});
}

Result<void> Repository::renew(const RoleName& role,
                               const RepositoryLifetimes& lifetimes,
                               WallTime now) {
  if (auto offline = check_offline(role); !offline) {
    return offline;
  }
  auto signed_part = next_signed(role, lifetimes, now);
  if (!signed_part) {
    return std::move(signed_part).error();
  }
  return stage(role, std::move(*signed_part));
}

Result<std::string> Repository::staged(const RoleName& role) const {
  if (auto offline = check_offline(role); !offline) {
    return offline.error();
  }
  auto bytes = load_staged(role);
  if (!bytes) {
    return std::move(bytes).error();
  }
  if (!*bytes) {
    return Error{Error::Code::kFailedPrecondition, "no " + role.text() + " is staged"};
  }
  return std::move(**bytes);
}

Result<void> Repository::sign(const RoleName& role, const Signer& key) {
  auto bytes = staged(role);
  if (!bytes) {
    return std::move(bytes).error();
  }
  const auto signers = signers_for(role);
  if (!signers) {
    return signers.error();
  }
  bool allowed = speaks_for(*signers, key.public_key());
  if (!allowed && role == Role::kRoot) {
    // The old root's keys approve its successor.
    const auto published = load_published(role);
    if (published && *published) {
      const auto before = parse_root(**published);
      allowed = before && speaks_for(before->content, Role::kRoot, key.public_key());
    }
  }
  if (!allowed) {
    return Error{Error::Code::kPermissionDenied,
                 "key " + key.public_key().key_id().substr(0, 16) + " is none of the " +
                     role.text() + " keys"};
  }
  auto signed_bytes = sign_metadata(*bytes, key);
  if (!signed_bytes) {
    return std::move(signed_bytes).error();
  }
  return write_file_atomic(fs_, staging_path(role), *signed_bytes);
}

Result<void> Repository::submit(const RoleName& role, std::string_view bytes) {
  if (auto offline = check_offline(role); !offline) {
    return offline;
  }
  auto incoming = parse_any(role, bytes);
  if (!incoming) {
    return incoming.error().with_context("submitted metadata");
  }
  auto current = load_staged(role);
  if (!current) {
    return std::move(current).error();
  }
  if (*current) {
    auto parsed = parse_any(role, **current);
    if (!parsed) {
      return std::move(parsed).error();
    }
    if (parsed->canonical == incoming->canonical) {
      const auto valid = valid_signers(role, bytes);
      if (!valid) {
        return valid.error();
      }
      if (valid->empty()) {
        return Error{Error::Code::kSignatureInvalid,
                     "no signature on the submitted " + role.text() + " is by one of its keys"};
      }
      auto merged = merge_signatures(**current, bytes, *valid);
      if (!merged) {
        return std::move(merged).error();
      }
      return write_file_atomic(fs_, staging_path(role), *merged);
    }
  }
  auto latest = latest_version(role);
  if (!latest) {
    return std::move(latest).error();
  }
  if (incoming->version != *latest + 1) {
    return Error{Error::Code::kRollback,
                 role.text() + " version " + std::to_string(incoming->version) +
                     " was submitted; version " + std::to_string(*latest + 1) + " is next"};
  }
  return write_file_atomic(fs_, staging_path(role), bytes);
}

Result<std::set<std::string>> Repository::valid_signers(const RoleName& role,
                                                        std::string_view bytes) const {
  const auto file = parse_any(role, bytes);
  const auto signers = signers_for(role);
  if (!file || !signers) {
    return file ? signers.error() : file.error();
  }
  std::vector<Signers> accepted{*signers};
  if (role == Role::kRoot) {
    const auto published = load_published(role);
    if (published && *published) {
      if (const auto before = parse_root(**published)) {
        accepted.push_back(signers_of(before->content, Role::kRoot));
      }
    }
  }
  std::set<std::string> out;
  for (const Signers& one : accepted) {
    for (const std::string& keyid : one.keys.keyids) {
      const auto key = one.table.usable.find(keyid);
      if (key != one.table.usable.end() && signed_by(*file, keyid, key->second)) {
        out.insert(keyid);
      }
    }
  }
  return out;
}

Result<RoleName> Repository::role_of_staged(std::string_view bytes) const {
  const auto roles = staged_roles();
  if (!roles) {
    return roles.error();
  }
  for (const RoleName& role : *roles) {
    const auto waiting = staged(role);
    if (!waiting) {
      return waiting.error();
    }
    const auto ours = parse_any(role, *waiting);
    const auto theirs = parse_any(role, bytes);
    if (ours && theirs && ours->canonical == theirs->canonical) {
      return role;
    }
  }
  return Error{Error::Code::kNotFound,
               "it is not what is staged in this repository: it was exported before a change, or "
               "from another one"};
}

Result<void> Repository::discard(const RoleName& role) {
  if (auto there = staged(role); !there) {
    return there.error();
  }
  if (auto gone = fs_.remove(staging_path(role)); !gone) {
    return gone;
  }
  return fs_.sync_directory(staging_path(role).parent_path());
}

Result<std::string> Repository::read(std::string_view name) const {
  if (name.empty() || name.front() == '.' || name.find('/') != std::string_view::npos ||
      !name.ends_with(".json")) {
    return Error{Error::Code::kNotFound,
                 "'" + std::string{name.substr(0, 64)} + "' is no metadata file"};
  }
  return read_file(fs_, metadata_path(name), MetadataLimits::kTargetsBytes);
}

Result<std::string> Repository::current_root() const {
  auto bytes = load_published(Role::kRoot);
  if (!bytes) {
    return std::move(bytes).error();
  }
  return *bytes ? Result<std::string>{std::move(**bytes)} : staged(Role::kRoot);
}

Result<Targets> Repository::published_targets() const {
  auto bytes = load_published(Role::kTargets);
  if (!bytes) {
    return std::move(bytes).error();
  }
  if (!*bytes) {
    return Error{Error::Code::kFailedPrecondition, "no targets are published yet"};
  }
  auto targets = parse_targets(**bytes);
  if (!targets) {
    return std::move(targets).error();
  }
  return std::move(targets->content);
}

}  // namespace skerry::security::tuf
