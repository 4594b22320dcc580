// The adapter of the OMS conformance suite: signs and verifies models with our own library.
//
//   oms sign-model   --method key|certificate --model-path P --output-bundle F --private-key K
//                    [--signing-cert C] [--cert-chain C]… [--ignore-paths P]…
//   oms verify-model --method key|certificate --model-path P --bundle F
//                    [--public-key K] [--cert-chain C]… [--ignore-paths P]…
//                    [--ignore-unsigned-files]
//
// Exit code 0 if it was done, 1 if it was refused, 2 for wrong arguments. The bundle is left out of
// the model, and bundles of version 0.2.0 are accepted, which the suite wants and the product does
// only when asked.

#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "skerry/common/clock.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/security/model_signing/bundle.hpp"
#include "skerry/security/model_signing/model_tree.hpp"
#include "skerry/security/model_signing/sign.hpp"
#include "skerry/security/model_signing/verify.hpp"

namespace {

namespace oms = skerry::security::model_signing;
using skerry::Bytes;
using skerry::Error;
using skerry::Result;

constexpr std::size_t kMaxPem = 256U << 10U;

struct Arguments {
  std::string method;
  std::string model;
  std::string bundle;
  std::string private_key;
  std::string public_key;
  std::string signing_cert;
  std::vector<std::string> cert_chain;
  std::vector<std::string> ignore_paths;
  bool ignore_unsigned_files = false;
};

class OmsAdapter {
 public:
  explicit OmsAdapter(const Arguments& arguments) : arguments_(arguments) {}

  Result<void> sign() {
    const auto pem = read(arguments_.private_key);
    if (!pem) {
      return pem.error();
    }
    const auto key = oms::SigningKey::from_pem(*pem);
    if (!key) {
      return key.error().with_context(arguments_.private_key);
    }
    oms::SignOptions options;
    options.ignore_paths = ignored();
    auto statement = oms::describe_model(arguments_.model, options);
    if (!statement) {
      return statement.error();
    }
    const auto bundle = certificates() ? sign_with_certificate(std::move(*statement), *key)
                                       : oms::sign_statement(std::move(*statement), *key);
    if (!bundle) {
      return bundle.error();
    }
    return skerry::write_file_atomic(files_, arguments_.bundle, *bundle, 0644);
  }

  Result<void> verify() {
    const auto bundle = skerry::read_file(files_, arguments_.bundle, oms::kMaxBundleBytes);
    if (!bundle) {
      return bundle.error();
    }
    const auto authentic = certificates() ? verify_certificate(*bundle) : verify_key(*bundle);
    if (!authentic) {
      return authentic.error();
    }
    oms::CheckOptions options;
    options.ignore_paths = ignored();
    options.ignore_unsigned_files = arguments_.ignore_unsigned_files;
    const auto checked = oms::check_model(arguments_.model, authentic->statement, options);
    return checked ? Result<void>{} : checked.error();
  }

 private:
  [[nodiscard]] bool certificates() const { return arguments_.method == "certificate"; }

  Result<std::string> read(const std::string& path) {
    return skerry::read_file(files_, path, kMaxPem);
  }

  Result<std::string> sign_with_certificate(oms::Statement statement, const oms::SigningKey& key) {
    std::vector<Bytes> chain;
    std::vector<std::string> paths{arguments_.signing_cert};
    paths.insert(paths.end(), arguments_.cert_chain.begin(), arguments_.cert_chain.end());
    for (const std::string& path : paths) {
      const auto pem = read(path);
      if (!pem) {
        return pem.error();
      }
      const auto certificates = oms::certificates_from_pem(*pem);
      if (!certificates) {
        return certificates.error().with_context(path);
      }
      chain.insert(chain.end(), certificates->begin(), certificates->end());
    }
    // The suite has its client sign with certificates that the verifier must refuse.
    return oms::sign_statement(
        std::move(statement), key, chain, clock_.wall_now(), oms::UnfitLeaf::kSign);
  }

  Result<oms::AuthenticStatement> verify_certificate(const std::string& bundle) {
    oms::TrustAnchors anchors;
    for (const std::string& path : arguments_.cert_chain) {
      const auto pem = read(path);
      if (!pem) {
        return pem.error();
      }
      if (auto added = anchors.add_pem(*pem); !added) {
        return added.error().with_context(path);
      }
    }
    return oms::authenticate(bundle, anchors, clock_.wall_now(), oms::Legacy::kAccept);
  }

  Result<oms::AuthenticStatement> verify_key(const std::string& bundle) {
    const auto bytes = read(arguments_.public_key);
    if (!bytes) {
      return bytes.error();
    }
    const auto key = oms::VerifyKey::from_bytes(*bytes);
    if (!key) {
      return key.error().with_context(arguments_.public_key);
    }
    return oms::authenticate(bundle, *key, oms::Legacy::kAccept);
  }

  // The suite gives absolute paths; those outside the model have nothing to leave out.
  [[nodiscard]] std::vector<std::string> ignored() const {
    std::vector<std::string> out;
    std::vector<std::string> paths = arguments_.ignore_paths;
    paths.push_back(arguments_.bundle);
    for (const std::string& path : paths) {
      std::string inside = oms::path_inside(arguments_.model, path);
      if (!inside.empty()) {
        out.push_back(std::move(inside));
      }
    }
    return out;
  }

  const Arguments& arguments_;
  skerry::SystemFileSystem files_;
  skerry::SystemClock clock_;
};

void add_common(CLI::App& command, Arguments& arguments) {
  command.add_option("--method", arguments.method)
      ->required()
      ->check(CLI::IsMember({"key", "certificate"}));
  command.add_option("--model-path", arguments.model)->required();
  command.add_option("--cert-chain", arguments.cert_chain)->allow_extra_args(false);
  command.add_option("--ignore-paths", arguments.ignore_paths)->allow_extra_args(false);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{"OpenSSF Model Signing, for its conformance suite"};
  app.require_subcommand(1);
  CLI::App& sign = *app.add_subcommand("sign-model", "");
  add_common(sign, arguments);
  sign.add_option("--output-bundle", arguments.bundle)->required();
  sign.add_option("--private-key", arguments.private_key)->required();
  sign.add_option("--signing-cert", arguments.signing_cert);
  CLI::App& verify = *app.add_subcommand("verify-model", "");
  add_common(verify, arguments);
  verify.add_option("--bundle", arguments.bundle)->required();
  verify.add_option("--public-key", arguments.public_key);
  verify.add_flag("--ignore-unsigned-files", arguments.ignore_unsigned_files);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  OmsAdapter adapter{arguments};
  const Result<void> done = sign.parsed() ? adapter.sign() : adapter.verify();
  if (!done) {
    std::cerr << "oms: " << done.error().to_string() << '\n';
    return 1;
  }
  return 0;
}
