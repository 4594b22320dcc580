#include "skerry/security/model_signing/verify.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/model_tree.hpp"

#include "chain.hpp"
#include "key_access.hpp"

namespace skerry::security::model_signing {

namespace {

// By path, and within a file by offset.
using SignedFiles = std::map<std::string, std::vector<const Resource*>, std::less<>>;

Result<void> expect_material(const Bundle& bundle, Bundle::Material wanted) {
  if (bundle.material == wanted) {
    return {};
  }
  return Error{Error::Code::kFailedPrecondition,
               "the signature was made by method " + std::string{to_string(bundle.material)} +
                   ", not " + std::string{to_string(wanted)}};
}

// OMS 8.2 over the payload's exact bytes, then 8.3.
Result<Statement> open_envelope(const Bundle& bundle, const VerifyKey& key, Legacy legacy) {
  const std::string message = pre_authentication_encoding(bundle.payload);
  auto verified = key.verify(as_bytes(message), bundle.signature);
  if (!verified && legacy == Legacy::kAccept) {
    const std::string old = legacy_pre_authentication_encoding(bundle.payload);
    verified = KeyAccess::verify_sha256(key, as_bytes(old), bundle.signature);
  }
  if (!verified) {
    const bool other_key = !bundle.key_hint.empty() && bundle.key_hint != key.hint();
    return other_key ? Error{Error::Code::kSignatureInvalid,
                             verified.error().message() + "; it says it is by another one"}
                     : verified.error();
  }
  return parse_statement(bundle.payload, legacy);
}

SignedFiles index_of(const Statement& statement, const ModelTree& tree) {
  SignedFiles out;
  for (const Resource& resource : statement.resources) {
    // The one file of a one-file model, in the older form (see `Resource::path`).
    const bool itself = resource.path == "." && tree.single_file();
    out[itself ? tree.files().front().path : resource.path].push_back(&resource);
  }
  for (auto& [path, resources] : out) {
    std::sort(resources.begin(), resources.end(), [](const Resource* a, const Resource* b) {
      return a->start < b->start;
    });
  }
  return out;
}

Error not_covered(std::string message) {
  return Error{Error::Code::kSignatureInvalid, std::move(message)};
}

// The ranges of a file in shards must be those that signing would give it (OMS 8.4.3).
Result<void> check_ranges(const TreeFile& file,
                          const std::vector<const Resource*>& resources,
                          std::uint64_t shard_size) {
  std::uint64_t next = 0;
  for (const Resource* resource : resources) {
    const std::uint64_t end =
        file.size - std::min(next, file.size) > shard_size ? next + shard_size : file.size;
    if (resource->start != next || resource->end != end) {
      break;
    }
    next = end;
  }
  const Resource& last = *resources.back();
  if (next != file.size || last.end != file.size) {
    return Error{Error::Code::kSizeMismatch,
                 file.path + " has " + std::to_string(file.size) +
                     " bytes, which the signed shards do not cover"};
  }
  return {};
}

Result<void> check_file(const ModelTree& tree,
                        const TreeFile& file,
                        const std::vector<const Resource*>& resources,
                        const Serialization& how,
                        const std::function<void(std::uint64_t)>& progress) {
  const bool shards = how.method == Method::kShards;
  // A one-file model may be listed by its name or as ".", not as both.
  if (!shards && resources.size() != 1) {
    return not_covered(file.path + " is listed twice");
  }
  if (shards) {
    if (auto ranges = check_ranges(file, resources, how.shard_size); !ranges) {
      return ranges;
    }
  }
  const auto digests = tree.hash(file, how.hash, shards ? how.shard_size : 0, progress);
  if (!digests) {
    return digests.error();
  }
  for (std::size_t i = 0; i < digests->size(); ++i) {
    if (i >= resources.size() || (*digests)[i] != resources[i]->digest) {
      const std::string where =
          shards ? " in bytes " + std::to_string(i * how.shard_size) + " and on" : "";
      return Error{Error::Code::kDigestMismatch, file.path + " is not what was signed" + where};
    }
  }
  return {};
}

TreeOptions scan_options(const Statement& statement, const CheckOptions& options) {
  TreeOptions out;
  out.tolerate_irregular = options.ignore_unsigned_files;
  out.ignore.insert(options.ignore_paths.begin(), options.ignore_paths.end());
  // OMS 8.4.4. A trailing slash means the folder.
  for (std::string path : statement.serialization.ignore_paths) {
    while (path.ends_with('/')) {
      path.pop_back();
    }
    out.ignore.insert(std::move(path));
  }
  for (const std::string& path : default_ignore_paths()) {
    // What was signed is checked, also where it would be left out by default.
    const bool listed = std::any_of(
        statement.resources.begin(), statement.resources.end(), [&path](const Resource& resource) {
          return resource.path == path || resource.path.starts_with(path + "/");
        });
    if (!listed) {
      out.ignore.insert(path);
    }
  }
  return out;
}

Error missing_file(const std::string& path, const ModelTree& tree) {
  for (const std::string& ignored : tree.ignored()) {
    if (path == ignored || path.starts_with(ignored + "/")) {
      return not_covered(path + " is signed and cannot be ignored");
    }
  }
  return not_covered(path + " is signed and missing");
}

}  // namespace

Json SignedBy::to_json() const {
  Json::Object out{{"method", method}, {"algorithm", algorithm}, {"key_hint", key_hint}};
  if (!subject.empty()) {
    out.emplace("subject", subject);
    out.emplace("certificate_sha256", certificate_sha256);
    out.emplace("anchor", anchor);
    out.emplace("anchor_sha256", anchor_sha256);
  }
  return Json{std::move(out)};
}

Result<AuthenticStatement> authenticate(std::string_view bundle,
                                        const VerifyKey& key,
                                        Legacy legacy) {
  const auto parsed = parse_bundle(bundle);
  if (!parsed) {
    return parsed.error();
  }
  if (auto fits = expect_material(*parsed, Bundle::Material::kPublicKey); !fits) {
    return fits.error();
  }
  auto statement = open_envelope(*parsed, key, legacy);
  if (!statement) {
    return std::move(statement).error();
  }
  SignedBy signer;
  signer.method = "key";
  signer.algorithm = key.algorithm();
  signer.key_hint = key.hint();
  return AuthenticStatement{std::move(*statement), std::move(signer)};
}

Result<AuthenticStatement> authenticate(std::string_view bundle,
                                        const TrustAnchors& anchors,
                                        WallTime now,
                                        Legacy legacy) {
  const auto parsed = parse_bundle(bundle);
  if (!parsed) {
    return parsed.error();
  }
  if (auto fits = expect_material(*parsed, Bundle::Material::kCertificateChain); !fits) {
    return fits.error();
  }
  auto leaf = verify_chain(parsed->certificates, anchors, now);
  if (!leaf) {
    return std::move(leaf).error();
  }
  auto statement = open_envelope(*parsed, leaf->key, legacy);
  if (!statement) {
    return std::move(statement).error();
  }
  return AuthenticStatement{std::move(*statement), std::move(leaf->signer)};
}

Result<CheckedModel> check_model(const std::filesystem::path& model,
                                 const Statement& statement,
                                 const CheckOptions& options) {
  auto tree = ModelTree::scan(model, scan_options(statement, options));
  if (!tree) {
    return std::move(tree).error();
  }
  const SignedFiles signed_files = index_of(statement, *tree);
  const bool shards = statement.serialization.method == Method::kShards;
  CheckedModel out;
  out.ignored = tree->ignored();
  out.unsigned_files = tree->irregular();
  // First the names, which costs nothing, then the bytes.
  std::vector<std::pair<const TreeFile*, const std::vector<const Resource*>*>> work;
  std::set<std::string_view> present;
  for (const TreeFile& file : tree->files()) {
    const auto found = signed_files.find(file.path);
    if (found != signed_files.end()) {
      present.insert(file.path);
      work.emplace_back(&file, &found->second);
      out.bytes += file.size;
      continue;
    }
    // In shards an empty file leaves no trace in the statement (OMS 6.3.2).
    if (shards && file.size == 0) {
      continue;
    }
    if (!options.ignore_unsigned_files) {
      return not_covered(file.path + " is in the model and not signed");
    }
    out.unsigned_files.push_back(file.path);
  }
  for (const auto& [path, resources] : signed_files) {
    if (present.count(path) == 0) {
      return missing_file(path, *tree);
    }
  }
  std::uint64_t done = 0;
  const auto progress = [&done, &out, &options](std::uint64_t bytes) {
    done += bytes;
    if (options.progress) {
      options.progress(done, out.bytes);
    }
  };
  for (const auto& [file, resources] : work) {
    if (auto same = check_file(*tree, *file, *resources, statement.serialization, progress);
        !same) {
      return same.error();
    }
  }
  out.files = work.size();
  return out;
}

}  // namespace skerry::security::model_signing
