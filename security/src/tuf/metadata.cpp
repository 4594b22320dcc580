#include "skerry/security/tuf/metadata.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include <openssl/evp.h>

#include "skerry/common/bytes.hpp"

namespace skerry::security::tuf {

std::string_view to_string(Role role) noexcept {
  switch (role) {
    case Role::kTimestamp:
      return "timestamp";
    case Role::kSnapshot:
      return "snapshot";
    case Role::kTargets:
      return "targets";
    case Role::kRoot:
      break;
  }
  return "root";
}

Result<Role> parse_role(std::string_view name) {
  for (const Role role : {Role::kRoot, Role::kTimestamp, Role::kSnapshot, Role::kTargets}) {
    if (name == to_string(role)) {
      return role;
    }
  }
  return Error{Error::Code::kInvalidArgument,
               "unknown role '" + std::string{name.substr(0, 64)} +
                   "'; root, targets, snapshot or timestamp"};
}

Role shape_of(const RoleName& role) {
  const auto top = parse_role(role.text());
  return top ? *top : Role::kTargets;
}

std::string encode_role_name(const RoleName& role) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : role.text()) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 0x0fU];
    }
  }
  return out;
}

Result<RoleName> decode_role_name(std::string_view text) {
  std::string name;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      name += text[at];
      continue;
    }
    const auto byte = from_hex(text.substr(at + 1, 2));
    if (!byte || byte->size() != 1) {
      break;
    }
    name += static_cast<char>(byte->front());
    at += 2;
  }
  RoleName role{std::move(name)};
  if (role.text().empty() || encode_role_name(role) != text) {
    return Error{Error::Code::kInvalidArgument,
                 "'" + std::string{text.substr(0, 80)} + "' is no role name as files have it"};
  }
  return role;
}

std::size_t MetadataLimits::bytes(Role role) noexcept {
  switch (role) {
    case Role::kTimestamp:
      return kTimestampBytes;
    case Role::kSnapshot:
      return kSnapshotBytes;
    case Role::kTargets:
      return kTargetsBytes;
    case Role::kRoot:
      break;
  }
  return kRootBytes;
}

namespace {

// The two hashes that are checked; others are kept for other clients.
Result<std::string> hash_hex(std::string_view algorithm, std::string_view content) {
  const EVP_MD* md = algorithm == "sha256"   ? EVP_sha256()
                     : algorithm == "sha512" ? EVP_sha512()
                                             : nullptr;
  if (md == nullptr) {
    return Error{Error::Code::kUnimplemented, "hash " + std::string{algorithm}};
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_Digest(content.data(), content.size(), digest.data(), &size, md, nullptr) != 1) {
    return Error{Error::Code::kInternal, "hashing"};
  }
  return to_hex(ByteView{digest.data(), size});
}

Result<void> check_hashes(const std::map<std::string, std::string, std::less<>>& hashes,
                          std::string_view content,
                          std::string_view name) {
  for (const auto& [algorithm, expected] : hashes) {
    const auto actual = hash_hex(algorithm, content);
    if (!actual && actual.error().code() == Error::Code::kUnimplemented) {
      continue;
    }
    if (!actual || *actual != expected) {
      return Error{Error::Code::kMetadataMismatch,
                   std::string{name} + " does not have the " + algorithm + " that was signed"};
    }
  }
  return {};
}

}  // namespace

Result<void> TargetFile::check(std::string_view content) const {
  if (content.size() != length) {
    return Error{Error::Code::kMetadataMismatch,
                 "the target has " + std::to_string(content.size()) + " bytes, " +
                     std::to_string(length) + " were signed"};
  }
  if (!hashes.contains("sha256") && !hashes.contains("sha512")) {
    return Error{Error::Code::kMetadataMismatch,
                 "the target was signed without a sha256 or sha512; other hashes are not known"};
  }
  return check_hashes(hashes, content, "the target");
}

Result<Digest> TargetFile::sha256() const {
  const auto it = hashes.find("sha256");
  if (it == hashes.end()) {
    return Error{Error::Code::kMetadataMismatch, "the target was signed without a sha256"};
  }
  return Digest::from_hex(it->second);
}

std::int64_t TargetFile::release_counter() const {
  const auto value = custom.get_int("release_counter");
  return value ? *value : 0;
}

std::string TargetFile::min_agent() const {
  const auto value = custom.get_string("min_agent");
  return value ? *value : std::string{};
}

std::optional<WallTime> TargetFile::not_after() const {
  const auto text = custom.get_string("not_after");
  if (!text) {
    return std::nullopt;
  }
  const auto time = parse_rfc3339(*text);
  // Parsing the metadata refused a bad one, so this only guards values made by hand.
  return time ? std::optional<WallTime>{*time} : std::optional<WallTime>{WallTime{}};
}

const RoleKeys& Root::keys_of(Role role) const {
  return roles.find(to_string(role))->second;
}

Result<void> check_target_path(std::string_view path) {
  const auto bad = [&](std::string_view why) {
    return Error{Error::Code::kInvalidArgument,
                 "target path '" + std::string{path.substr(0, MetadataLimits::kPathLength)} +
                     "': " + std::string{why}};
  };
  if (path.empty() || path.size() > MetadataLimits::kPathLength || !is_utf8(path)) {
    return bad("it has 1 to 512 bytes of UTF-8");
  }
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') {
      return bad("it has a control character or a backslash");
    }
  }
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") {
      return bad("it has an empty, '.' or '..' part");
    }
    if (slash == std::string_view::npos) {
      return {};
    }
    path.remove_prefix(slash + 1);
  }
}

Result<void> check_meta_file(const MetaFile& meta,
                             std::string_view content,
                             std::string_view name) {
  if (meta.length && *meta.length != content.size()) {
    return Error{Error::Code::kMetadataMismatch,
                 std::string{name} + " has " + std::to_string(content.size()) + " bytes, " +
                     std::to_string(*meta.length) + " were signed"};
  }
  return check_hashes(meta.hashes, content, name);
}

Result<void> verify_threshold(const RoleKeys& role,
                              const KeyTable& keys,
                              const std::vector<Signature>& signatures,
                              std::string_view canonical,
                              std::string_view role_name) {
  // Counted by the key itself and not by its id: one key listed under two ids is one signer.
  std::set<Digest> signers;
  for (const Signature& signature : signatures) {
    if (std::find(role.keyids.begin(), role.keyids.end(), signature.keyid) == role.keyids.end()) {
      continue;
    }
    const auto key = keys.usable.find(signature.keyid);
    if (key == keys.usable.end() || signers.contains(key->second.spki_digest())) {
      continue;
    }
    if (key->second.verify(as_bytes(canonical), signature.value)) {
      signers.insert(key->second.spki_digest());
    }
  }
  if (static_cast<std::int64_t>(signers.size()) < role.threshold) {
    return Error{Error::Code::kThresholdNotMet,
                 std::string{role_name} + " has " + std::to_string(signers.size()) +
                     " valid signatures of the " + std::to_string(role.threshold) + " required"};
  }
  return {};
}

}  // namespace skerry::security::tuf
