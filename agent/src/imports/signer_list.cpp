#include "skerry/agent/signer_list.hpp"

#include <algorithm>

#include "skerry/security/model_signing/bundle.hpp"

namespace skerry::agent {
namespace {

namespace oms = security::model_signing;

constexpr std::size_t kMaxSignerFile = 256U << 10U;
constexpr std::string_view kByCertificate = "certificate ";

// A file that cannot be read now says nothing about the configuration.
Error bad_signer(const std::string& file, const Error& error) {
  const bool unread = error.code() == Error::Code::kIo;
  return {unread ? Error::Code::kIo : Error::Code::kConfigInvalid,
          "[import] " + file + ": " + error.message()};
}

}  // namespace

Result<SignerList> SignerList::load(FileSystem& fs, const ImportConfig& config) {
  SignerList list;
  for (const std::string& file : config.signer_keys) {
    const auto bytes = read_file(fs, file, kMaxSignerFile);
    if (!bytes) {
      return bad_signer(file, bytes.error());
    }
    auto key = oms::VerifyKey::from_bytes(*bytes);
    if (!key) {
      return bad_signer(file, key.error());
    }
    list.keys_.push_back(*std::move(key));
  }
  for (const std::string& file : config.signer_anchors) {
    const auto pem = read_file(fs, file, kMaxSignerFile);
    if (!pem) {
      return bad_signer(file, pem.error());
    }
    if (auto added = list.anchors_.add_pem(*pem); !added) {
      return bad_signer(file, added.error());
    }
  }
  list.subjects_ = config.signer_subjects;
  return list;
}

Result<std::optional<oms::AuthenticStatement>> SignerList::authenticate(std::string_view bundle,
                                                                        WallTime now) const {
  using Found = std::optional<oms::AuthenticStatement>;
  const auto parsed = oms::parse_bundle(bundle);
  if (!parsed) {
    return parsed.error();
  }
  if (parsed->material == oms::Bundle::Material::kPublicKey) {
    for (const oms::VerifyKey& key : keys_) {
      if (auto signed_by = oms::authenticate(bundle, key); signed_by) {
        return Found{*std::move(signed_by)};
      }
    }
    return Found{};
  }
  if (parsed->material == oms::Bundle::Material::kCertificateChain && anchors_.size() != 0) {
    auto signed_by = oms::authenticate(bundle, anchors_, now);
    if (signed_by && lists_subject(signed_by->signer.subject)) {
      return Found{*std::move(signed_by)};
    }
  }
  return Found{};
}

std::string SignerList::name_of(const oms::SignedBy& signer) {
  return signer.method == "key" ? "key " + signer.key_hint
                                : std::string{kByCertificate} + signer.subject;
}

std::string SignerList::identity_of(const oms::SignedBy& signer) {
  return signer.method == "key" ? signer.key_hint : signer.anchor_sha256;
}

bool SignerList::still_lists(const registry::Vouch& vouch) const {
  const std::string& identity = vouch.identity;
  const bool key = std::any_of(
      keys_.begin(), keys_.end(), [&](const auto& one) { return one.hint() == identity; });
  if (key || !std::string_view{vouch.who}.starts_with(kByCertificate)) {
    return key;
  }
  const std::string subject = vouch.who.substr(kByCertificate.size());
  const bool anchored =
      std::any_of(anchors_.der().begin(), anchors_.der().end(), [&](const auto& der) {
        return Digest::of(ByteView{der}).hex() == identity;
      });
  return anchored && lists_subject(subject);
}

bool SignerList::lists_subject(const std::string& subject) const {
  return subjects_.empty() ||
         std::find(subjects_.begin(), subjects_.end(), subject) != subjects_.end();
}

}  // namespace skerry::agent
