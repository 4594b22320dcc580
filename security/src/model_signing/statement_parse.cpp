#include <charconv>
#include <cmath>
#include <optional>
#include <set>
#include <utility>

#include "skerry/common/json.hpp"
#include "skerry/security/model_signing/statement.hpp"

#include "statement_text.hpp"

namespace skerry::security::model_signing {

namespace {

constexpr std::string_view kLegacyPredicateType = "https://model_signing/Digests/v0.1";
constexpr std::size_t kStatementDepth = 12;
// Largest integer that a JSON number holds exactly in every implementation.
constexpr double kMaxExactDouble = 9007199254740992.0;

Error bad_statement(std::string message) {
  return Error{Error::Code::kParse, std::move(message)};
}

std::string resource_at(std::size_t index) {
  return "predicate.resources[" + std::to_string(index) + "]";
}

std::size_t digest_size(HashType type) {
  return type == HashType::kSha256 ? 32 : 64;
}

Result<HashType> parse_hash_type(std::string_view name, std::uint64_t shard_size) {
  for (const HashType type : {HashType::kSha256, HashType::kBlake2b}) {
    const std::string_view known = to_string(type);
    // Up to 1.1.0 the reference wrote the shard size into the name: "sha256-sharded-1000000000".
    if (name == known || (shard_size != 0 &&
                          name == std::string{known} + "-sharded-" + std::to_string(shard_size))) {
      return type;
    }
  }
  return Error{Error::Code::kUnimplemented,
               "hash type '" + std::string{name} + "' is not supported; sha256 or blake2b"};
}

Result<std::uint64_t> parse_shard_size(const Json& serialization) {
  const Json* value = serialization.find("shard_size");
  if (value == nullptr) {
    return bad_statement("predicate.serialization.shard_size is missing");
  }
  // Implementations that go through protobuf's Struct write 8.0 for 8.
  const auto number = value->as_number();
  if (!number || *number < 1 || *number > kMaxExactDouble || std::trunc(*number) != *number) {
    return bad_statement("predicate.serialization.shard_size is not a positive integer");
  }
  return static_cast<std::uint64_t>(*number);
}

Result<std::vector<std::string>> parse_ignore_paths(const Json& serialization) {
  std::vector<std::string> paths;
  const Json* list = serialization.find("ignore_paths");
  if (list == nullptr) {
    return paths;
  }
  if (list->array() == nullptr) {
    return bad_statement("predicate.serialization.ignore_paths is not an array");
  }
  if (list->array()->size() > kMaxIgnorePaths) {
    return Error{Error::Code::kTooLarge, "more than 1000 entries in ignore_paths"};
  }
  for (const Json& entry : *list->array()) {
    if (entry.string() == nullptr) {
      return bad_statement("predicate.serialization.ignore_paths has an entry that is no string");
    }
    paths.push_back(*entry.string());
  }
  return paths;
}

Result<Serialization> parse_serialization(const Json& predicate) {
  const auto object = predicate.get_object("serialization");
  if (!object) {
    return object.error().with_context("predicate");
  }
  Serialization out;
  const auto method = (*object)->get_string("method");
  if (!method) {
    return method.error().with_context("predicate.serialization");
  }
  if (*method == to_string(Method::kShards)) {
    out.method = Method::kShards;
    const auto size = parse_shard_size(**object);
    if (!size) {
      return size.error();
    }
    out.shard_size = *size;
  } else if (*method != to_string(Method::kFiles)) {
    return Error{Error::Code::kUnimplemented,
                 "serialization method '" + *method + "' is not supported; files or shards"};
  } else if ((*object)->find("shard_size") != nullptr) {
    // OMS 5.2.2: absent when the method is "files".
    return bad_statement("predicate.serialization has a shard_size and the method files");
  }
  const auto hash = (*object)->get_string("hash_type");
  if (!hash) {
    return hash.error().with_context("predicate.serialization");
  }
  const auto type = parse_hash_type(*hash, out.shard_size);
  if (!type) {
    return type.error();
  }
  out.hash = *type;
  const auto symlinks = (*object)->get_bool("allow_symlinks");
  if (!symlinks) {
    return symlinks.error().with_context("predicate.serialization");
  }
  out.allow_symlinks = *symlinks;
  auto ignore = parse_ignore_paths(**object);
  if (!ignore) {
    return std::move(ignore).error();
  }
  out.ignore_paths = std::move(*ignore);
  return out;
}

// Takes ":<digits>" off the end of `name`.
std::optional<std::uint64_t> take_offset(std::string_view& name) {
  const std::size_t colon = name.rfind(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(colon + 1);
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool canonical = digits == "0" || (!digits.empty() && digits.front() != '0');
  if (failed != std::errc{} || end != digits.data() + digits.size() || !canonical) {
    return std::nullopt;
  }
  name.remove_suffix(name.size() - colon);
  return value;
}

// OMS 6.3.2: "<path>:<start>:<end>", where the path may have colons of its own.
Result<void> parse_shard_name(std::string_view name, std::uint64_t shard_size, Resource& out) {
  std::string_view rest = name;
  const auto end = take_offset(rest);
  const auto start = end ? take_offset(rest) : std::nullopt;
  if (!start) {
    return bad_statement("name '" + std::string{name} + "' is not <path>:<start>:<end>");
  }
  const bool empty = *start == 0 && *end == 0;
  if (!empty && (*end <= *start || *end - *start > shard_size || *start % shard_size != 0)) {
    return bad_statement("name '" + std::string{name} + "' is no range of the shard size " +
                         std::to_string(shard_size));
  }
  out.path = rest;
  out.start = *start;
  out.end = *end;
  return {};
}

Result<Resource> parse_resource(const Json& entry, const Serialization& serialization) {
  auto name = entry.get_string("name");
  if (!name) {
    return std::move(name).error();
  }
  Resource out;
  if (serialization.method == Method::kShards) {
    if (auto parsed = parse_shard_name(*name, serialization.shard_size, out); !parsed) {
      return parsed.error();
    }
  } else {
    out.path = std::move(*name);
  }
  // Older signers name the content of a one-file model "."; check_model allows it only there.
  if (out.path != ".") {
    if (auto good = check_resource_path(out.path); !good) {
      return good.error();
    }
  }
  const auto algorithm = entry.get_string("algorithm");
  if (!algorithm) {
    return algorithm.error();
  }
  const auto type = parse_hash_type(*algorithm, serialization.shard_size);
  if (!type) {
    return type.error();
  }
  if (*type != serialization.hash) {
    return bad_statement("algorithm '" + *algorithm +
                         "' differs from the serialization's hash type");
  }
  const auto hex = entry.get_string("digest");
  if (!hex) {
    return hex.error();
  }
  auto digest = from_hex(*hex);
  if (!digest || digest->size() != digest_size(*type)) {
    return bad_statement("digest is not " + std::to_string(2 * digest_size(*type)) +
                         " hexadecimal characters");
  }
  out.digest = std::move(*digest);
  return out;
}

Result<void> add_resource(Statement& statement, std::set<std::string>& names, Resource resource) {
  if (!names.insert(resource_name(resource, statement.serialization.method)).second) {
    return bad_statement("'" + resource.path + "' is listed twice");
  }
  statement.resources.push_back(std::move(resource));
  return {};
}

Result<const Json*> subjects_of(const Json& document) {
  const auto subjects = document.get_array("subject");
  if (!subjects) {
    return subjects.error();
  }
  if ((*subjects)->array()->empty()) {
    return bad_statement("subject is empty");
  }
  if ((*subjects)->array()->size() > kMaxResources) {
    return Error{Error::Code::kTooLarge, "more than 100000 subjects"};
  }
  return *subjects;
}

Result<std::string> subject_digest(const Json& subject) {
  const auto digest = subject.get_object("digest");
  if (!digest) {
    return digest.error();
  }
  return (*digest)->get_string("sha256");
}

Result<Statement> parse_current(const Json& document) {
  const auto subjects = subjects_of(document);
  if (!subjects) {
    return subjects.error();
  }
  // OMS 6.5: exactly one entry, the model as a whole.
  if ((*subjects)->array()->size() != 1) {
    return bad_statement("subject has " + std::to_string((*subjects)->array()->size()) +
                         " entries; exactly one is expected");
  }
  const Json& subject = (*subjects)->array()->front();
  const auto name = subject.get_string("name");
  const auto root = subject_digest(subject);
  if (!name || !root) {
    return (name ? root.error() : name.error()).with_context("subject[0]");
  }
  const auto predicate = document.get_object("predicate");
  if (!predicate) {
    return predicate.error();
  }
  auto serialization = parse_serialization(**predicate);
  if (!serialization) {
    return std::move(serialization).error();
  }
  Statement out;
  out.model_name = *name;
  out.serialization = std::move(*serialization);
  const auto resources = (*predicate)->get_array("resources");
  if (!resources) {
    return resources.error().with_context("predicate");
  }
  const Json::Array& list = *(*resources)->array();
  if (list.empty()) {
    return bad_statement("predicate.resources is empty");  // OMS 5.2.1
  }
  if (list.size() > kMaxResources) {
    return Error{Error::Code::kTooLarge, "more than 100000 entries in predicate.resources"};
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.size(); ++i) {
    auto resource = parse_resource(list[i], out.serialization);
    if (!resource) {
      return resource.error().with_context(resource_at(i));
    }
    if (auto added = add_resource(out, names, std::move(*resource)); !added) {
      return added.error().with_context(resource_at(i));
    }
  }
  out.root = root_digest(out.resources);
  if (*root != out.root.hex()) {
    return bad_statement("subject[0].digest.sha256 is not the digest of the listed resources");
  }
  return out;
}

// OMS 5.1, historical note: every file is a subject.
Result<Statement> parse_legacy(const Json& document) {
  const auto subjects = subjects_of(document);
  if (!subjects) {
    return subjects.error();
  }
  Statement out;
  std::set<std::string> names;
  for (const Json& subject : *(*subjects)->array()) {
    auto name = subject.get_string("name");
    const auto hex = subject_digest(subject);
    if (!name || !hex) {
      return (name ? hex.error() : name.error()).with_context("subject");
    }
    if (auto good = *name == "." ? Result<void>{} : check_resource_path(*name); !good) {
      return good.error().with_context("subject");
    }
    const auto digest = Digest::from_hex(*hex);
    if (!digest) {
      return digest.error().with_context("subject");
    }
    Resource resource;
    resource.path = std::move(*name);
    resource.digest.assign(digest->bytes().begin(), digest->bytes().end());
    if (auto added = add_resource(out, names, std::move(resource)); !added) {
      return added.error().with_context("subject");
    }
  }
  out.root = root_digest(out.resources);
  return out;
}

}  // namespace

Result<Statement> parse_statement(std::string_view payload, Legacy legacy) {
  const auto document = Json::parse(payload, JsonLimits{kMaxPayloadBytes, kStatementDepth});
  if (!document) {
    return document.error().with_context("statement");
  }
  const auto type = document->get_string("_type");
  if (!type) {
    return type.error().with_context("statement");
  }
  if (*type != kStatementType) {
    return bad_statement("statement: _type is '" + *type + "', not " + std::string{kStatementType});
  }
  const auto predicate_type = document->get_string("predicateType");
  if (!predicate_type) {
    return predicate_type.error().with_context("statement");
  }
  const bool old = *predicate_type == kLegacyPredicateType;
  if (old && legacy == Legacy::kRefuse) {
    return Error{Error::Code::kUnimplemented,
                 "the signature has the deprecated form of version 0.2.0; sign the model again, or "
                 "accept that form explicitly"};
  }
  if (!old && *predicate_type != kPredicateType) {
    return bad_statement("statement: predicateType is '" + *predicate_type + "', not " +
                         std::string{kPredicateType});
  }
  auto statement = old ? parse_legacy(*document) : parse_current(*document);
  if (!statement) {
    return statement.error().with_context("statement");
  }
  return statement;
}

}  // namespace skerry::security::model_signing
