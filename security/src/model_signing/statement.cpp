#include "skerry/security/model_signing/statement.hpp"

#include <algorithm>
#include <utility>

#include "skerry/common/json.hpp"

#include "statement_text.hpp"

namespace skerry::security::model_signing {

namespace {

Error bad_path(std::string message) {
  return Error{Error::Code::kParse, std::move(message)};
}

}  // namespace

std::string_view to_string(Method method) noexcept {
  return method == Method::kFiles ? "files" : "shards";
}

std::string_view to_string(HashType type) noexcept {
  return type == HashType::kSha256 ? "sha256" : "blake2b";
}

std::string resource_name(const Resource& resource, Method method) {
  return method == Method::kFiles ? resource.path
                                  : resource.path + ":" + std::to_string(resource.start) + ":" +
                                        std::to_string(resource.end);
}

Digest root_digest(const std::vector<Resource>& resources) {
  Sha256 sha;
  for (const Resource& resource : resources) {
    sha.update(ByteView{resource.digest});
  }
  return sha.finish();
}

Result<void> check_resource_path(std::string_view path) {
  if (path.size() > kMaxPathBytes) {
    return Error{Error::Code::kTooLarge, "a path of more than 4096 bytes"};
  }
  if (path.find('\0') != std::string_view::npos) {
    return bad_path("a path with a zero byte");
  }
  std::size_t depth = 0;
  std::string_view rest = path;
  while (true) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    // OMS 6.1.2: relative, normalized, never out of the model.
    if (part.empty() || part == "." || part == "..") {
      return bad_path("'" + std::string{path} + "' is no canonical path inside the model");
    }
    if (++depth > kMaxPathDepth) {
      return Error{Error::Code::kTooLarge, "a path of more than 64 levels"};
    }
    if (slash == std::string_view::npos) {
      return {};
    }
    rest.remove_prefix(slash + 1);
  }
}

Result<std::string> write_statement(Statement& statement) {
  const Serialization& how = statement.serialization;
  if (statement.resources.empty()) {
    return Error{Error::Code::kInvalidArgument, "a model without files cannot be signed"};
  }
  if (statement.resources.size() > kMaxResources) {
    return Error{Error::Code::kTooLarge, "more than 100000 files or shards; use larger shards"};
  }
  std::sort(statement.resources.begin(),
            statement.resources.end(),
            [&how](const Resource& a, const Resource& b) {
              return resource_name(a, how.method) < resource_name(b, how.method);
            });
  statement.root = root_digest(statement.resources);
  Json::Array resources;
  for (const Resource& resource : statement.resources) {
    if (auto good = check_resource_path(resource.path); !good) {
      return Error{Error::Code::kInvalidArgument, good.error().message()};
    }
    resources.emplace_back(Json::Object{{"name", resource_name(resource, how.method)},
                                        {"algorithm", to_string(how.hash)},
                                        {"digest", to_hex(resource.digest)}});
  }
  Json::Array ignore;
  for (const std::string& path : how.ignore_paths) {
    ignore.emplace_back(path);
  }
  Json::Object serialization{{"method", to_string(how.method)},
                             {"hash_type", to_string(how.hash)},
                             {"allow_symlinks", how.allow_symlinks},
                             {"ignore_paths", std::move(ignore)}};
  if (how.method == Method::kShards) {
    serialization.emplace("shard_size", how.shard_size);
  }
  Json::Object predicate{{"serialization", std::move(serialization)},
                         {"resources", std::move(resources)}};
  Json::Object subject{{"name", statement.model_name},
                       {"digest", Json::Object{{"sha256", statement.root.hex()}}}};
  const Json document{Json::Object{{"_type", kStatementType},
                                   {"subject", Json::Array{Json{std::move(subject)}}},
                                   {"predicateType", kPredicateType},
                                   {"predicate", std::move(predicate)}}};
  std::string text = document.dump();
  if (text.size() > kMaxPayloadBytes) {
    return Error{Error::Code::kTooLarge, "a statement of more than 24 MiB; use larger shards"};
  }
  return text;
}

}  // namespace skerry::security::model_signing
