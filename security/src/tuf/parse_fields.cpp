#include "parse_fields.hpp"

#include <set>
#include <utility>

namespace skerry::security::tuf::fields {

namespace {

constexpr std::int64_t kMaxVersion = std::int64_t{1} << 53;

}  // namespace

Error bad(const std::string& path, const std::string& why) {
  return Error{Error::Code::kParse, path + ": " + why};
}

Result<std::int64_t> positive(const Json& object, const std::string& path, std::string_view key) {
  auto value = object.get_int(key);
  if (!value || *value < 1 || *value > kMaxVersion) {
    return bad(path + "." + std::string{key}, "expected a whole number from 1 on");
  }
  return value;
}

Result<const Json*> member_object(const Json& object,
                                  const std::string& path,
                                  std::string_view key) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_object()) {
    return bad(path + "." + std::string{key}, value == nullptr ? "missing" : "expected an object");
  }
  return value;
}

Result<const Json::Array*> member_array(const Json& object,
                                        const std::string& path,
                                        std::string_view key,
                                        std::size_t most) {
  const Json* value = object.find(key);
  if (value == nullptr || !value->is_array()) {
    return bad(path + "." + std::string{key}, value == nullptr ? "missing" : "expected an array");
  }
  if (value->array()->size() > most) {
    return bad(path + "." + std::string{key}, "more than " + std::to_string(most) + " entries");
  }
  return value->array();
}

Result<std::vector<std::string>> strings(const Json& object,
                                         const std::string& path,
                                         std::string_view key,
                                         std::size_t most,
                                         std::size_t longest) {
  auto array = member_array(object, path, key, most);
  if (!array) {
    return std::move(array).error();
  }
  std::vector<std::string> out;
  for (const Json& element : **array) {
    const std::string* text = element.string();
    if (text == nullptr || text->empty() || text->size() > longest) {
      return bad(path + "." + std::string{key} + "[" + std::to_string(out.size()) + "]",
                 "expected a string of 1 to " + std::to_string(longest) + " bytes");
    }
    out.push_back(*text);
  }
  return out;
}

Result<KeyTable> parse_keys(const Json& object, const std::string& path) {
  auto keys = member_object(object, path, "keys");
  if (!keys) {
    return std::move(keys).error();
  }
  KeyTable table;
  if ((*keys)->object()->size() > MetadataLimits::kKeys) {
    return bad(path + ".keys", "more than 256 keys");
  }
  for (const auto& [keyid, value] : *(*keys)->object()) {
    if (keyid.empty() || keyid.size() > kMaxKeyId) {
      return bad(path + ".keys", "a key id of 1 to 128 bytes is expected");
    }
    auto key = PublicKey::from_tuf_json(value);
    if (key) {
      table.usable.emplace(keyid, std::move(*key));
    } else if (key.error().code() != Error::Code::kUnimplemented) {
      return bad(path + ".keys." + keyid, key.error().message());
    }
    // A key of a kind that is not known here verifies nothing, but does not spoil the file.
    table.all.emplace(keyid, value);
  }
  return table;
}

Result<RoleKeys> parse_role_keys(const Json& role, const std::string& path) {
  auto keyids = strings(role, path, "keyids", MetadataLimits::kKeys, kMaxKeyId);
  if (!keyids) {
    return std::move(keyids).error();
  }
  auto threshold = positive(role, path, "threshold");
  if (!threshold) {
    return std::move(threshold).error();
  }
  std::set<std::string_view> unique(keyids->begin(), keyids->end());
  if (unique.size() != keyids->size()) {
    return bad(path + ".keyids", "a key id is listed twice");
  }
  return RoleKeys{std::move(*keyids), *threshold};
}

}  // namespace skerry::security::tuf::fields
