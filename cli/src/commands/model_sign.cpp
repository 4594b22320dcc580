// skerry model sign PATH --key KEY: an OpenSSF Model Signing signature beside the model or in it.

#include <fmt/format.h>

#include "skerry/security/model_signing/sign.hpp"

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"
#include "model_signature.hpp"

namespace skerry::cli {
namespace {

namespace oms = security::model_signing;

struct ModelSignOptions {
  std::string path;
  SigningIdentity signer;
  std::string out;
  std::vector<std::string> ignore;
  bool shards = false;
  std::uint64_t shard_size = oms::kDefaultShardSize;
  std::string hash = "sha256";
};

Result<int> run_model_sign(Invocation& invocation, const ModelSignOptions& options) {
  if (options.signer.certificate.empty() && !options.signer.chain.empty()) {
    return Error{Error::Code::kInvalidArgument, "--chain goes with --certificate"};
  }
  const auto key = signing_key(invocation.fs, options.signer.key);
  if (!key) {
    return key.error();
  }
  const std::string out = options.out.empty() ? default_signature(options.path) : options.out;
  auto ignore = ignored_in_model(options.path, options.ignore, out);
  if (!ignore) {
    return ignore.error();
  }
  oms::SignOptions sign;
  sign.method = options.shards ? oms::Method::kShards : oms::Method::kFiles;
  sign.hash = options.hash == "blake2b" ? oms::HashType::kBlake2b : oms::HashType::kSha256;
  sign.shard_size = options.shard_size;
  sign.ignore_paths = std::move(*ignore);
  sign.progress = [&invocation](std::uint64_t done, std::uint64_t total) {
    invocation.console.progress("hashing", done, total);
  };
  auto statement = oms::describe_model(options.path, sign);
  invocation.console.finish_progress();
  if (!statement) {
    return statement.error();
  }
  const std::string name = statement->model_name;
  const std::size_t resources = statement->resources.size();
  const auto bundle = sign_statement_as(invocation, options.signer, std::move(*statement), *key);
  if (!bundle) {
    return bundle.error();
  }
  if (auto written = write_file_atomic(invocation.fs, out, *bundle, 0644); !written) {
    return written.error();
  }
  if (invocation.json) {
    invocation.console.print_json(
        Json{Json::Object{{"model", name},
                          {"signature", out},
                          {"method", options.signer.certificate.empty() ? "key" : "certificate"},
                          {"key_hint", key->public_key().hint()},
                          {"resources", resources}}});
  } else {
    invocation.console.line(printable(fmt::format("signed {} {} of {} by key {}: {}",
                                                  resources,
                                                  options.shards ? "shards" : "files",
                                                  name,
                                                  key->public_key().hint().substr(0, 16),
                                                  out)));
  }
  return kExitDone;
}

}  // namespace

void add_model_sign(Command& model, Invocation& invocation) {
  Command* command = model.add_subcommand("sign", "sign a folder or file (OpenSSF Model Signing)");
  const auto options = add_action<ModelSignOptions>(command, invocation, run_model_sign);
  command->add_option("path", options->path, "the model")->required();
  command
      ->add_option(
          "--key", options->signer.key, "private key: path or key URI; P-256, P-384 or P-521")
      ->required();
  command->add_option(
      "--certificate", options->signer.certificate, "sign with this certificate (PEM)");
  command->add_option("--chain", options->signer.chain, "its issuers (PEM, repeatable)");
  command->add_option("--out", options->out, "default: PATH/model.sig, or PATH.sig for a file");
  command->add_option("--ignore", options->ignore, "leave this out, relative to PATH (repeatable)");
  command->add_flag("--shards", options->shards, "a digest per shard instead of per file");
  command->add_option("--shard-size", options->shard_size, "bytes")->show_default();
  command->add_option("--hash", options->hash, "of the content")
      ->one_of({"sha256", "blake2b"})
      ->show_default();
}

}  // namespace skerry::cli
