#include "model_signature.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "skerry/cli/key_files.hpp"
#include "skerry/security/model_signing/model_tree.hpp"
#include "skerry/security/model_signing/sign.hpp"

#include "invocation.hpp"

namespace skerry::cli {

namespace oms = security::model_signing;

std::string default_signature(const std::string& model) {
  std::error_code ec;
  std::filesystem::path path{model};
  if (std::filesystem::is_directory(path, ec)) {
    return (path / "model.sig").string();
  }
  path += ".sig";
  return path.string();
}

Result<std::vector<std::string>> ignored_in_model(const std::string& model,
                                                  const std::vector<std::string>& paths,
                                                  const std::string& signature) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    const auto full = std::filesystem::path{model} / path;
    std::string inside = security::model_signing::path_inside(model, full);
    if (inside.empty()) {
      return Error{Error::Code::kInvalidArgument,
                   fmt::format("--ignore {} is not inside {}", path, model)};
    }
    out.push_back(std::move(inside));
  }
  std::string itself = security::model_signing::path_inside(model, signature);
  if (!itself.empty()) {
    out.push_back(std::move(itself));
  }
  return out;
}

Result<oms::SigningKey> signing_key(FileSystem& fs, const std::string& text) {
  const auto uri = key_uri(text);
  if (!uri) {
    return uri.error();
  }
  if (uri->scheme() == "file") {
    // With the file's mode and passphrase checked as for every private key.
    const auto pem = security::private_key_pem(fs, *uri);
    if (!pem) {
      return pem.error();
    }
    auto key = oms::SigningKey::from_pem(*pem);
    return key ? key : key.error().with_context(uri->to_string());
  }
  auto signer = security::make_signer(fs, *uri);
  if (!signer) {
    return signer.error();
  }
  return oms::SigningKey::from_signer(std::move(*signer));
}

Result<std::string> sign_statement_as(Invocation& invocation,
                                      const SigningIdentity& signer,
                                      oms::Statement statement,
                                      const oms::SigningKey& key) {
  if (signer.certificate.empty()) {
    return oms::sign_statement(std::move(statement), key);
  }
  std::vector<std::string> files{signer.certificate};
  files.insert(files.end(), signer.chain.begin(), signer.chain.end());
  std::vector<Bytes> chain;
  for (const std::string& file : files) {
    const auto pem = read_file(invocation.fs, file, kMaxSignatureKeyFile);
    if (!pem) {
      return pem.error();
    }
    const auto certificates = oms::certificates_from_pem(*pem);
    if (!certificates) {
      return certificates.error().with_context(file);
    }
    chain.insert(chain.end(), certificates->begin(), certificates->end());
  }
  return oms::sign_statement(std::move(statement), key, chain, invocation.clock.wall_now());
}

}  // namespace skerry::cli
