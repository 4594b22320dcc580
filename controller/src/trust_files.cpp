#include "trust_files.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "skerry/common/digest.hpp"
#include "skerry/security/tuf/repository.hpp"

namespace skerry::controller {

namespace tuf = security::tuf;

namespace {

constexpr std::string_view kSpecVersion = "1.0.34";
constexpr std::string_view kJsonSuffix = ".json";

}  // namespace

Result<UploadName> parse_upload_name(const std::string& name) {
  UploadName out;
  const auto* end = name.data() + name.size();
  const auto [rest, ec] = std::from_chars(name.data(), end, out.version);
  std::string_view tail{rest, static_cast<std::size_t>(end - rest)};
  const bool numbered =
      ec == std::errc{} && out.version > 0 && name.front() != '0' && name.front() != '+';
  if (numbered && tail.starts_with('.') && tail.size() > kJsonSuffix.size() + 1 &&
      tail.ends_with(kJsonSuffix)) {
    tail = tail.substr(1, tail.size() - 1 - kJsonSuffix.size());
    const auto role = tuf::decode_role_name(tail);
    if (role && *role != tuf::Role::kSnapshot && *role != tuf::Role::kTimestamp) {
      out.role = *role;
      return out;
    }
  }
  return Error{Error::Code::kInvalidArgument,
               "\"" + name.substr(0, 80) +
                   "\" cannot be published: <n>.root.json, <n>.targets.json and <n>.<delegated "
                   "role>.json are; snapshot and timestamp are made here"};
}

std::string served_name(const tuf::RoleName& role, std::int64_t version) {
  const std::string plain = tuf::encode_role_name(role) + std::string{kJsonSuffix};
  return role == tuf::Role::kTimestamp ? plain : std::to_string(version) + "." + plain;
}

MetadataRecord metadata_record(std::string_view repository,
                               const tuf::RoleName& role,
                               std::int64_t version,
                               std::string content) {
  return {std::string{repository},
          served_name(role, version),
          role.text(),
          version,
          std::move(content)};
}

Json meta_entry(const std::string& content, std::int64_t version) {
  return Json::Object{{"hashes", Json::Object{{"sha256", Digest::of(content).hex()}}},
                      {"length", static_cast<std::int64_t>(content.size())},
                      {"version", version}};
}

Result<std::string> sign_role(Json::Object signed_part,
                              std::int64_t version,
                              WallTime now,
                              std::chrono::milliseconds lifetime,
                              const security::Signer& key) {
  signed_part["spec_version"] = std::string{kSpecVersion};
  signed_part["version"] = version;
  signed_part["expires"] = to_rfc3339(now + lifetime);
  signed_part["x-skerry-issued"] = to_rfc3339(now);
  const Json envelope =
      Json::Object{{"signatures", Json::Array{}}, {"signed", std::move(signed_part)}};
  return tuf::sign_metadata(envelope.dump(), key);
}

Result<PublishedSet> PublishedSet::load(Store& store,
                                        const std::string& tenant,
                                        std::string_view repository) {
  auto files = store.current_metadata(tenant, std::string{repository});
  if (!files) {
    return files.error();
  }
  PublishedSet set;
  for (auto& file : *files) {
    if (file.role == to_string(tuf::Role::kRoot)) {
      set.roots.push_back(std::move(file));
    } else {
      std::string role = file.role;
      set.roles.insert_or_assign(std::move(role), std::move(file));
    }
  }
  std::sort(set.roots.begin(), set.roots.end(), [](const auto& a, const auto& b) {
    return a.version < b.version;
  });
  return set;
}

const MetadataRecord* PublishedSet::find(std::string_view role) const {
  if (role == to_string(tuf::Role::kRoot)) {
    return roots.empty() ? nullptr : &roots.back();
  }
  const auto found = roles.find(role);
  return found == roles.end() ? nullptr : &found->second;
}

std::int64_t PublishedSet::version_of(std::string_view role) const {
  const MetadataRecord* file = find(role);
  return file == nullptr ? 0 : file->version;
}

Result<std::optional<std::string>> PublishedMetadata::load(const tuf::RoleName& role) {
  const MetadataRecord* file = set_.find(role.text());
  return file == nullptr ? std::optional<std::string>{} : std::optional<std::string>{file->content};
}

Result<void> PublishedMetadata::commit(const tuf::MetadataUpdate&) {
  return Error{Error::Code::kFailedPrecondition, "published metadata is only read here"};
}

Result<std::string> PublishedMetadata::fetch(std::string_view name, std::size_t) {
  return Error{Error::Code::kNotFound, std::string{name} + " is not published"};
}

}  // namespace skerry::controller
