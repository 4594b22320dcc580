// skerry model vouch|revoke: who answers for an imported model. The caller does, by a right of
// their own, or the signer of an OpenSSF Model Signing bundle that the gateway's configuration
// lists.

#include <fmt/format.h>

#include "skerry/registry/manifest.hpp"
#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/sign.hpp"

#include "commands.hpp"
#include "imports.hpp"
#include "invocation.hpp"
#include "message_json.hpp"
#include "model_commands.hpp"
#include "model_signature.hpp"

namespace skerry::cli {
namespace {

namespace oms = security::model_signing;

struct ModelVouchOptions {
  std::string model;
  std::string reason;
  std::string bundle;
  SigningIdentity signer;
};

Result<int> print_vouched(Invocation& invocation, const Result<imports::CatalogueModel>& model) {
  if (!model) {
    return model.error();
  }
  if (invocation.json) {
    invocation.console.print(to_json(*model));
  } else {
    invocation.console.line(printable(fmt::format("{}:{} ({}) is {}",
                                                  model->name(),
                                                  model->version(),
                                                  model->manifest_digest(),
                                                  model->state())));
  }
  return kExitDone;
}

// What a signature over a model of the registry says: each file by the digest that its manifest
// has. Files of variants lie in a folder of the variant's name, as two may share a name.
oms::Statement describe_manifest(const registry::Manifest& manifest) {
  oms::Statement statement;
  statement.model_name = manifest.model.name;
  const auto add = [&statement](const std::string& path, const Digest& digest) {
    oms::Resource resource;
    resource.path = path;
    resource.digest = Bytes{digest.bytes().begin(), digest.bytes().end()};
    statement.resources.push_back(std::move(resource));
  };
  for (const registry::Variant& variant : manifest.variants) {
    for (const registry::ManifestFile& file : variant.files) {
      add(variant.name + "/" + file.name, file.digest);
    }
  }
  for (const registry::ManifestFile& file : manifest.shared) {
    if (file.role != registry::FileRole::kSignature) {
      add(file.name, file.digest);
    }
  }
  return statement;
}

// The bundle that vouches, and the digest of the model that it is about.
Result<std::string> sign_held(Invocation& invocation,
                              const ModelVouchOptions& options,
                              std::string& digest) {
  imports::GetManifestRequest wanted;
  wanted.set_model(registry_reference(options.model));
  const auto found = call_imports(invocation, wanted);
  if (!found) {
    return found.error();
  }
  const auto manifest = registry::Manifest::parse(found->manifest());
  if (!manifest) {
    return manifest.error();
  }
  digest = Digest::of(found->manifest()).to_string();
  const auto key = signing_key(invocation.fs, options.signer.key);
  if (!key) {
    return key.error();
  }
  return sign_statement_as(invocation, options.signer, describe_manifest(*manifest), *key);
}

Result<int> run_model_vouch(Invocation& invocation, const ModelVouchOptions& options) {
  if (!options.bundle.empty() && !options.signer.key.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "either --bundle, a signature that there is, or --key, to make one"};
  }
  if (options.signer.key.empty() &&
      (!options.signer.certificate.empty() || !options.signer.chain.empty())) {
    return Error{Error::Code::kInvalidArgument, "--certificate and --chain go with --key"};
  }
  imports::VouchRequest request;
  request.set_model(registry_reference(options.model));
  request.set_reason(options.reason);
  if (!options.bundle.empty()) {
    auto bundle = read_file(invocation.fs, options.bundle, oms::kMaxBundleBytes);
    if (!bundle) {
      return bundle.error();
    }
    request.set_bundle(*std::move(bundle));
  } else if (!options.signer.key.empty()) {
    std::string digest;
    auto bundle = sign_held(invocation, options, digest);
    if (!bundle) {
      return bundle.error();
    }
    // The very model that was signed, whatever the name means meanwhile.
    request.set_model(digest);
    request.set_bundle(*std::move(bundle));
  }
  return print_vouched(invocation, vouch_model(invocation, request));
}

struct ModelRevokeOptions {
  std::string model;
  std::string reason;
};

Result<int> run_model_revoke(Invocation& invocation, const ModelRevokeOptions& options) {
  imports::VouchRequest request;
  request.set_model(registry_reference(options.model));
  request.set_reason(options.reason);
  return print_vouched(invocation, revoke_vouch(invocation, request));
}

}  // namespace

void add_model_vouch(Command& model, Invocation& invocation) {
  const auto reference = "local/name[:version], name alone, or the manifest's digest";
  Command* vouch = model.add_subcommand(
      "vouch", "take responsibility for an imported model, so that it may run");
  const auto options = add_action<ModelVouchOptions>(vouch, invocation, run_model_vouch);
  vouch->add_option("model", options->model, reference)->required();
  vouch->add_option("--reason", options->reason, "why, for the audit log");
  vouch->add_option(
      "--bundle", options->bundle, "model.sig over it: its signer vouches, if [import] lists it");
  vouch->add_option(
      "--key", options->signer.key, "sign it now with this private key, which [import] lists");
  vouch->add_option(
      "--certificate", options->signer.certificate, "sign with this certificate (PEM)");
  vouch->add_option("--chain", options->signer.chain, "its issuers (PEM, repeatable)");
  Command* revoke = model.add_subcommand(
      "revoke", "end every vouch: what runs goes on, nothing makes it live again");
  const auto revoke_options = add_action<ModelRevokeOptions>(revoke, invocation, run_model_revoke);
  revoke->add_option("model", revoke_options->model, reference)->required();
  revoke->add_option("--reason", revoke_options->reason, "why, for the audit log");
}

}  // namespace skerry::cli
