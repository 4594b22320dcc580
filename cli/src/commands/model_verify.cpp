// skerry model verify PATH --public-key KEY | --anchors CERTIFICATES: whether a model is what its
// signer signed. Exit code 3: it is not.

#include <fmt/format.h>

#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/verify.hpp"

#include "commands.hpp"
#include "invocation.hpp"
#include "model_commands.hpp"
#include "model_signature.hpp"

namespace skerry::cli {
namespace {

namespace oms = security::model_signing;

struct ModelVerifyOptions {
  std::string path;
  std::string signature;
  std::string public_key;
  std::vector<std::string> anchors;
  std::vector<std::string> ignore;
  bool ignore_unsigned = false;
  bool accept_legacy = false;
};

// The signature or the model is at fault, not the command or the machine.
bool is_verdict(const Error& error) {
  switch (error.code()) {
    case Error::Code::kParse:
    case Error::Code::kTooLarge:
    case Error::Code::kUnimplemented:
    case Error::Code::kFailedPrecondition:
    case Error::Code::kSignatureInvalid:
    case Error::Code::kCertificateInvalid:
    case Error::Code::kDigestMismatch:
    case Error::Code::kSizeMismatch:
      return true;
    default:
      return false;
  }
}

Result<oms::TrustAnchors> load_anchors(FileSystem& fs, const std::vector<std::string>& files) {
  oms::TrustAnchors anchors;
  for (const std::string& file : files) {
    const auto pem = read_file(fs, file, kMaxSignatureKeyFile);
    if (!pem) {
      return pem.error();
    }
    if (auto added = anchors.add_pem(*pem); !added) {
      return Error{Error::Code::kInvalidArgument, file + ": " + added.error().message()};
    }
  }
  return anchors;
}

Result<oms::VerifyKey> load_verify_key(FileSystem& fs, const std::string& file) {
  const auto bytes = read_file(fs, file, kMaxSignatureKeyFile);
  if (!bytes) {
    return bytes.error();
  }
  auto key = oms::VerifyKey::from_bytes(*bytes);
  return key ? key : key.error().with_context(file);
}

Json list_json(const std::vector<std::string>& names) {
  Json::Array out;
  for (const std::string& name : names) {
    out.emplace_back(name);
  }
  return Json{std::move(out)};
}

void print_refusal(Invocation& invocation, const std::string& path, const Error& error) {
  if (!invocation.json) {
    invocation.console.line(printable(path + ": refused: " + error.to_string()));
    return;
  }
  invocation.console.print_json(Json{Json::Object{
      {"verified", false},
      {"error", Json::Object{{"code", to_string(error.code())}, {"message", error.message()}}}}});
}

void print_verified(Invocation& invocation,
                    const std::string& path,
                    const oms::AuthenticStatement& authentic,
                    const oms::CheckedModel& checked) {
  const oms::Statement& statement = authentic.statement;
  if (invocation.json) {
    invocation.console.print_json(
        Json{Json::Object{{"verified", true},
                          {"signer", authentic.signer.to_json()},
                          {"signed_name", statement.model_name},
                          {"root_sha256", statement.root.hex()},
                          {"method", to_string(statement.serialization.method)},
                          {"hash", to_string(statement.serialization.hash)},
                          {"files", checked.files},
                          {"bytes", checked.bytes},
                          {"ignored", list_json(checked.ignored)},
                          {"unsigned", list_json(checked.unsigned_files)}}});
    return;
  }
  const oms::SignedBy& signer = authentic.signer;
  invocation.console.line(printable(
      fmt::format("{}: verified, {} files, {}", path, checked.files, human_bytes(checked.bytes))));
  invocation.console.line(printable(
      signer.method == "key"
          ? fmt::format("  signed by {} key {}", signer.algorithm, signer.key_hint)
          : fmt::format("  signed by {}, anchored at {}", signer.subject, signer.anchor)));
  for (const std::string& name : checked.ignored) {
    invocation.console.line(printable("  not covered, ignored: " + name));
  }
  for (const std::string& name : checked.unsigned_files) {
    invocation.console.line(printable("  not covered, unsigned: " + name));
  }
}

Result<oms::AuthenticStatement> open_signature(Invocation& invocation,
                                               const ModelVerifyOptions& options,
                                               const std::string& bundle) {
  const auto legacy = options.accept_legacy ? oms::Legacy::kAccept : oms::Legacy::kRefuse;
  if (options.public_key.empty()) {
    const auto anchors = load_anchors(invocation.fs, options.anchors);
    if (!anchors) {
      return anchors.error();
    }
    return oms::authenticate(bundle, *anchors, invocation.clock.wall_now(), legacy);
  }
  const auto key = load_verify_key(invocation.fs, options.public_key);
  if (!key) {
    return key.error();
  }
  return oms::authenticate(bundle, *key, legacy);
}

Result<int> run_model_verify(Invocation& invocation, const ModelVerifyOptions& options) {
  if (options.public_key.empty() == options.anchors.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "say whom to believe: either --public-key FILE or --anchors FILE"};
  }
  const std::string signature =
      options.signature.empty() ? default_signature(options.path) : options.signature;
  const auto ignore = ignored_in_model(options.path, options.ignore, signature);
  if (!ignore) {
    return ignore.error();
  }
  const auto bundle = read_file(invocation.fs, signature, oms::kMaxBundleBytes);
  if (!bundle) {
    return bundle.error().with_context("signature");
  }
  const auto refuse = [&](const Error& error) -> Result<int> {
    if (!is_verdict(error)) {
      return error;
    }
    print_refusal(invocation, options.path, error);
    return kExitNo;
  };
  const auto authentic = open_signature(invocation, options, *bundle);
  if (!authentic) {
    return refuse(authentic.error());
  }
  oms::CheckOptions check;
  check.ignore_paths = *ignore;
  check.ignore_unsigned_files = options.ignore_unsigned;
  check.progress = [&invocation](std::uint64_t done, std::uint64_t total) {
    invocation.console.progress("checking", done, total);
  };
  const auto checked = oms::check_model(options.path, authentic->statement, check);
  invocation.console.finish_progress();
  if (!checked) {
    return refuse(checked.error());
  }
  print_verified(invocation, options.path, *authentic, *checked);
  return kExitDone;
}

}  // namespace

void add_model_verify(Command& model, Invocation& invocation) {
  Command* command = model.add_subcommand(
      "verify", "check an OpenSSF Model Signing signature; exit code 3: refused");
  const auto options = add_action<ModelVerifyOptions>(command, invocation, run_model_verify);
  command->add_option("path", options->path, "the model")->required();
  command->add_option(
      "--signature", options->signature, "default: PATH/model.sig, or PATH.sig for a file");
  command->add_option("--public-key", options->public_key, "the signer's key (PEM)");
  command->add_option(
      "--anchors", options->anchors, "certificates that chains may end at (PEM, repeatable)");
  command->add_option("--ignore", options->ignore, "leave this out, relative to PATH (repeatable)");
  command->add_flag(
      "--ignore-unsigned-files", options->ignore_unsigned, "report files in excess, not refuse");
  command->add_flag(
      "--accept-v0.2", options->accept_legacy, "also the signatures of version 0.2.0");
}

}  // namespace skerry::cli
