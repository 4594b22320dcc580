#include "skerry/security/model_signing/sign.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/model_tree.hpp"

#include "chain.hpp"

namespace skerry::security::model_signing {

namespace {

Result<std::string> seal(Statement statement, const SigningKey& key, Bundle bundle) {
  auto payload = write_statement(statement);
  if (!payload) {
    return std::move(payload).error();
  }
  bundle.payload = std::move(*payload);
  const std::string message = pre_authentication_encoding(bundle.payload);
  auto signature = key.sign(as_bytes(message));
  if (!signature) {
    return std::move(signature).error();
  }
  bundle.signature = std::move(*signature);
  return write_bundle(bundle);
}

Result<std::set<std::string, std::less<>>> ignored_paths(const SignOptions& options) {
  std::set<std::string, std::less<>> out{default_ignore_paths().begin(),
                                         default_ignore_paths().end()};
  for (const std::string& path : options.ignore_paths) {
    if (auto good = check_resource_path(path); !good) {
      return Error{Error::Code::kInvalidArgument, "ignored path: " + good.error().message()};
    }
    out.insert(path);
  }
  if (out.size() > kMaxIgnorePaths) {
    return Error{Error::Code::kTooLarge, "more than 1000 ignored paths"};
  }
  return out;
}

}  // namespace

Result<Statement> describe_model(const std::filesystem::path& model, const SignOptions& options) {
  const bool shards = options.method == Method::kShards;
  if (shards && options.shard_size == 0) {
    return Error{Error::Code::kInvalidArgument, "the shard size must not be 0"};
  }
  auto ignore = ignored_paths(options);
  if (!ignore) {
    return std::move(ignore).error();
  }
  TreeOptions scan;
  scan.ignore = std::move(*ignore);
  const auto tree = ModelTree::scan(model, scan);
  if (!tree) {
    return tree.error();
  }
  std::uint64_t total = 0;
  for (const TreeFile& file : tree->files()) {
    total += file.size;
  }
  Statement out;
  out.model_name = tree->name();
  out.serialization.method = options.method;
  out.serialization.hash = options.hash;
  out.serialization.shard_size = shards ? options.shard_size : 0;
  out.serialization.ignore_paths.assign(scan.ignore.begin(), scan.ignore.end());
  std::uint64_t done = 0;
  const auto progress = [&done, total, &options](std::uint64_t bytes) {
    done += bytes;
    if (options.progress) {
      options.progress(done, total);
    }
  };
  for (const TreeFile& file : tree->files()) {
    const std::uint64_t range = out.serialization.shard_size;
    if (shards && out.resources.size() + file.size / range >= kMaxResources) {
      return Error{Error::Code::kTooLarge, "more than 100000 shards; use larger ones"};
    }
    auto digests = tree->hash(file, options.hash, range, progress);
    if (!digests) {
      return std::move(digests).error();
    }
    for (std::size_t i = 0; i < digests->size(); ++i) {
      Resource resource;
      resource.path = file.path;
      resource.start = i * range;
      resource.end = shards ? std::min(file.size, resource.start + range) : 0;
      resource.digest = std::move((*digests)[i]);
      out.resources.push_back(std::move(resource));
    }
  }
  if (out.resources.empty()) {
    // OMS 6.1: an empty model must be rejected.
    return Error{Error::Code::kInvalidArgument, model.string() + " has no file to sign"};
  }
  return out;
}

Result<std::string> sign_statement(Statement statement, const SigningKey& key) {
  Bundle bundle;
  bundle.material = Bundle::Material::kPublicKey;
  bundle.key_hint = key.public_key().hint();
  return seal(std::move(statement), key, std::move(bundle));
}

Result<std::string> sign_statement(Statement statement,
                                   const SigningKey& key,
                                   const std::vector<Bytes>& chain,
                                   WallTime now,
                                   UnfitLeaf unfit) {
  if (chain.empty()) {
    return Error{Error::Code::kInvalidArgument, "there is no signing certificate"};
  }
  if (chain.size() > kMaxCertificates) {
    return Error{Error::Code::kTooLarge, "more than 16 certificates"};
  }
  const auto leaf =
      unfit == UnfitLeaf::kSign ? leaf_key(chain.front()) : check_leaf(chain.front(), now);
  if (!leaf) {
    return leaf.error();
  }
  if (!(*leaf == key.public_key())) {
    return Error{Error::Code::kCertificateInvalid,
                 "the signing certificate is not for this private key"};
  }
  Bundle bundle;
  bundle.material = Bundle::Material::kCertificateChain;
  bundle.certificates = chain;
  return seal(std::move(statement), key, std::move(bundle));
}

}  // namespace skerry::security::model_signing
