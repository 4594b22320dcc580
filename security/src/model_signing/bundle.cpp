#include "skerry/security/model_signing/bundle.hpp"

#include <utility>

#include "skerry/common/json.hpp"
#include "skerry/security/model_signing/statement.hpp"

namespace skerry::security::model_signing {

namespace {

constexpr std::string_view kMediaType = "application/vnd.dev.sigstore.bundle.v0.3+json";
constexpr std::string_view kPayloadType = "application/vnd.in-toto+json";
constexpr std::size_t kBundleDepth = 16;
constexpr std::size_t kMaxSignatureBytes = 512;

Error bad_bundle(std::string message) {
  return Error{Error::Code::kParse, std::move(message)};
}

Result<Bytes> get_base64(const Json& object, std::string_view key) {
  const auto text = object.get_string(key);
  if (!text) {
    return text.error();
  }
  auto bytes = from_base64(*text);
  if (!bytes) {
    return bytes.error().with_context(key);
  }
  return bytes;
}

Result<void> parse_chain(const Json& chain, Bundle& out) {
  const auto list = chain.get_array("certificates");
  if (!list) {
    return list.error();
  }
  const Json::Array& entries = *(*list)->array();
  if (entries.empty()) {
    return bad_bundle("certificates is empty");
  }
  if (entries.size() > kMaxCertificates) {
    return Error{Error::Code::kTooLarge, "more than 16 certificates"};
  }
  for (const Json& entry : entries) {
    auto der = get_base64(entry, "rawBytes");
    if (!der) {
      return der.error().with_context("certificates");
    }
    if (der->size() > kMaxCertificateBytes) {
      return Error{Error::Code::kTooLarge, "a certificate of more than 64 KiB"};
    }
    out.certificates.push_back(std::move(*der));
  }
  return {};
}

Result<void> parse_material(const Json& material, Bundle& out) {
  const Json* key = material.find("publicKey");
  const Json* chain = material.find("x509CertificateChain");
  const Json* sigstore = material.find("certificate");
  const int count =
      (key != nullptr ? 1 : 0) + (chain != nullptr ? 1 : 0) + (sigstore != nullptr ? 1 : 0);
  if (count != 1) {
    return bad_bundle(
        "exactly one of publicKey, x509CertificateChain and certificate is expected, there are " +
        std::to_string(count));
  }
  if (sigstore != nullptr) {
    out.material = Bundle::Material::kSigstore;
    return {};
  }
  if (chain != nullptr) {
    out.material = Bundle::Material::kCertificateChain;
    if (auto parsed = parse_chain(*chain, out); !parsed) {
      return parsed.error().with_context("x509CertificateChain");
    }
    return {};
  }
  out.material = Bundle::Material::kPublicKey;
  if (key->object() == nullptr) {
    return bad_bundle("publicKey is not an object");
  }
  // Before 1.1.0 there was rawBytes instead, which is as little evidence as a hint (OMS 11.2).
  if (key->find("hint") != nullptr) {
    auto hint = key->get_string("hint");
    if (!hint) {
      return hint.error().with_context("publicKey");
    }
    // The reference names the algorithm before the key's digest; its signatures are far longer.
    if (hint->starts_with("ML_DSA_")) {
      return Error{Error::Code::kUnimplemented,
                   "the signature is by ML-DSA, which is not supported"};
    }
    out.key_hint = std::move(*hint);
  }
  return {};
}

Result<void> parse_envelope(const Json& envelope, Bundle& out) {
  const auto type = envelope.get_string("payloadType");
  if (!type) {
    return type.error();
  }
  if (*type != kPayloadType) {
    return bad_bundle("payloadType is '" + *type + "', not " + std::string{kPayloadType});
  }
  const auto payload = get_base64(envelope, "payload");
  if (!payload) {
    return payload.error();
  }
  if (payload->size() > kMaxPayloadBytes) {
    return Error{Error::Code::kTooLarge, "a payload of more than 24 MiB"};
  }
  out.payload = as_text(*payload);
  const auto signatures = envelope.get_array("signatures");
  if (!signatures) {
    return signatures.error();
  }
  // A bundle has exactly one (Sigstore bundle v0.3). `keyid` is not used (OMS 4.1).
  const std::size_t count = (*signatures)->array()->size();
  if (count != 1) {
    return bad_bundle("there are " + std::to_string(count) +
                      " signatures, exactly one is expected");
  }
  auto signature = get_base64((*signatures)->array()->front(), "sig");
  if (!signature) {
    return signature.error().with_context("signatures[0]");
  }
  if (signature->empty() || signature->size() > kMaxSignatureBytes) {
    return bad_bundle("signatures[0].sig is empty or longer than 512 bytes");
  }
  out.signature = std::move(*signature);
  return {};
}

std::string encoding_start(std::string_view version, std::string_view payload) {
  std::string out{version};
  out += " " + std::to_string(kPayloadType.size()) + " ";
  out += kPayloadType;
  out += " " + std::to_string(payload.size()) + " ";
  return out;
}

// Python's repr of a bytes object.
std::string python_repr(std::string_view bytes) {
  const bool double_quotes =
      bytes.find('\'') != std::string_view::npos && bytes.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out{"b"};
  out += quote;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == quote || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x" + to_hex(ByteView{&byte, 1});
    } else {
      out += c;
    }
  }
  out += quote;
  return out;
}

}  // namespace

std::string_view to_string(Bundle::Material material) noexcept {
  switch (material) {
    case Bundle::Material::kPublicKey:
      return "key";
    case Bundle::Material::kCertificateChain:
      return "certificate";
    case Bundle::Material::kSigstore:
      return "sigstore";
  }
  return "unknown";
}

Result<Bundle> parse_bundle(std::string_view text) {
  const auto document = Json::parse(text, JsonLimits{kMaxBundleBytes, kBundleDepth});
  if (!document) {
    return document.error().with_context("signature bundle");
  }
  const auto media_type = document->get_string("mediaType");
  if (!media_type) {
    return media_type.error().with_context("signature bundle");
  }
  if (*media_type != kMediaType) {
    return bad_bundle("signature bundle: mediaType is '" + *media_type + "', not " +
                      std::string{kMediaType});
  }
  const auto material = document->get_object("verificationMaterial");
  if (!material) {
    return material.error().with_context("signature bundle");
  }
  Bundle out;
  if (auto parsed = parse_material(**material, out); !parsed) {
    return parsed.error().with_context("signature bundle: verificationMaterial");
  }
  const auto envelope = document->get_object("dsseEnvelope");
  if (!envelope) {
    return envelope.error().with_context("signature bundle");
  }
  if (auto parsed = parse_envelope(**envelope, out); !parsed) {
    return parsed.error().with_context("signature bundle: dsseEnvelope");
  }
  return out;
}

std::string write_bundle(const Bundle& bundle) {
  Json::Object material{{"tlogEntries", Json::Array{}}};
  if (bundle.material == Bundle::Material::kCertificateChain) {
    Json::Array certificates;
    for (const Bytes& der : bundle.certificates) {
      certificates.emplace_back(Json::Object{{"rawBytes", to_base64(der)}});
    }
    material.emplace("x509CertificateChain",
                     Json::Object{{"certificates", std::move(certificates)}});
  } else {
    material.emplace("publicKey", Json::Object{{"hint", bundle.key_hint}});
  }
  Json::Object signature{{"sig", to_base64(bundle.signature)}, {"keyid", ""}};
  Json::Object envelope{{"payload", to_base64(as_bytes(bundle.payload))},
                        {"payloadType", kPayloadType},
                        {"signatures", Json::Array{Json{std::move(signature)}}}};
  return Json{Json::Object{{"mediaType", kMediaType},
                           {"verificationMaterial", std::move(material)},
                           {"dsseEnvelope", std::move(envelope)}}}
      .dump();
}

std::string pre_authentication_encoding(std::string_view payload) {
  return encoding_start("DSSEv1", payload) + std::string{payload};
}

std::string legacy_pre_authentication_encoding(std::string_view payload) {
  return encoding_start("DSSEV1", payload) + python_repr(payload);
}

}  // namespace skerry::security::model_signing
