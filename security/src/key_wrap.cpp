// HPKE by its specification's names (RFC 9180); OpenSSL 3.0 has the parts, not the whole.

#include "skerry/security/key_wrap.hpp"

#include <array>

#include "aes_gcm.hpp"
#include "hkdf.hpp"
#include "key_schemes.hpp"

namespace skerry::security {

namespace {

using namespace std::string_view_literals;

constexpr std::size_t kPoint = 65;
constexpr std::size_t kHash = 32;
// §4.1 and §7.1: "KEM" || I2OSP(0x0010, 2).
constexpr std::string_view kKemSuite = "KEM\x00\x10"sv;
// §5.1 and §7: "HPKE" || KEM 0x0010 || KDF 0x0001 || AEAD 0x0002.
constexpr std::string_view kHpkeSuite = "HPKE\x00\x10\x00\x01\x00\x02"sv;
constexpr std::string_view kVersion = "HPKE-v1"sv;
// What stands before the point in every SubjectPublicKeyInfo of a P-256 key (RFC 5480).
constexpr std::array<std::uint8_t, 26> kSpkiHead{
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

struct AeadKey {
  std::array<std::uint8_t, AesGcm::kKey> key{};
  std::array<std::uint8_t, AesGcm::kNonce> nonce{};

  AeadKey() = default;
  ~AeadKey() { OPENSSL_cleanse(key.data(), key.size()); }
  AeadKey(const AeadKey&) = default;
  AeadKey& operator=(const AeadKey&) = delete;
};

Bytes concatenate(std::initializer_list<ByteView> parts) {
  Bytes all;
  for (const ByteView part : parts) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

// §4: LabeledExtract and LabeledExpand.
Result<Bytes> labeled_extract(std::string_view suite,
                              ByteView salt,
                              std::string_view label,
                              ByteView input) {
  Bytes out(kHash);
  auto labeled = concatenate({as_bytes(kVersion), as_bytes(suite), as_bytes(label), input});
  auto done = hkdf_extract("SHA256", salt, labeled, out);
  OPENSSL_cleanse(labeled.data(), labeled.size());
  return done ? Result<Bytes>{std::move(out)} : done.error();
}

Result<void> labeled_expand(std::string_view suite,
                            ByteView key,
                            std::string_view label,
                            ByteView info,
                            std::span<std::uint8_t> out) {
  const std::array<std::uint8_t, 2> length{static_cast<std::uint8_t>(out.size() >> 8U),
                                           static_cast<std::uint8_t>(out.size())};
  return hkdf_expand(
      "SHA256",
      key,
      concatenate({length, as_bytes(kVersion), as_bytes(suite), as_bytes(label), info}),
      out);
}

// The uncompressed point of a P-256 key, which is how the KEM serialises it (§7.1.1).
Result<Bytes> point_of(const PublicKey& key) {
  if (key.algorithm() != KeyAlgorithm::kEcdsaP256) {
    return Error{Error::Code::kKeyInvalid,
                 "secrets are wrapped by ecdsa-p256 keys, this one is " +
                     std::string{to_string(key.algorithm())}};
  }
  const Bytes der = key.der();
  if (der.size() != kSpkiHead.size() + kPoint ||
      !std::equal(kSpkiHead.begin(), kSpkiHead.end(), der.begin())) {
    return Error{Error::Code::kKeyInvalid, "a P-256 key in an unusual form"};
  }
  return Bytes(der.begin() + kSpkiHead.size(), der.end());
}

// §4.1 ExtractAndExpand, then §5.1 KeySchedule in mode_base.
Result<AeadKey> schedule(ByteView dh, ByteView enc, ByteView receiver, ByteView info) {
  const auto eae_prk = labeled_extract(kKemSuite, {}, "eae_prk", dh);
  if (!eae_prk) {
    return eae_prk.error();
  }
  std::array<std::uint8_t, kHash> shared{};
  if (auto done = labeled_expand(
          kKemSuite, *eae_prk, "shared_secret", concatenate({enc, receiver}), shared);
      !done) {
    return done.error();
  }
  const auto psk_id_hash = labeled_extract(kHpkeSuite, {}, "psk_id_hash", {});
  const auto info_hash = labeled_extract(kHpkeSuite, {}, "info_hash", info);
  const auto secret = labeled_extract(kHpkeSuite, shared, "secret", {});
  OPENSSL_cleanse(shared.data(), shared.size());
  for (const auto* part : {&psk_id_hash, &info_hash, &secret}) {
    if (!*part) {
      return part->error();
    }
  }
  const std::array<std::uint8_t, 1> mode_base{0};
  const Bytes context = concatenate({mode_base, *psk_id_hash, *info_hash});
  AeadKey aead;
  if (auto done = labeled_expand(kHpkeSuite, *secret, "key", context, aead.key); !done) {
    return done.error();
  }
  if (auto done = labeled_expand(kHpkeSuite, *secret, "base_nonce", context, aead.nonce); !done) {
    return done.error();
  }
  return aead;
}

Result<AeadKey> agree_and_schedule(
    const Signer& own, const PublicKey& peer, ByteView enc, ByteView receiver, ByteView info) {
  auto dh = agree_secret(own, peer);
  if (!dh) {
    return dh.error();
  }
  auto aead = schedule(*dh, enc, receiver, info);
  OPENSSL_cleanse(dh->data(), dh->size());
  return aead;
}

}  // namespace

Result<Bytes> wrap_secret(const PublicKey& to, ByteView secret, std::string_view info) {
  const auto receiver = point_of(to);
  if (!receiver) {
    return receiver.error();
  }
  const auto ephemeral = make_memory_signer(KeyAlgorithm::kEcdsaP256);
  if (!ephemeral) {
    return ephemeral.error();
  }
  auto out = point_of((*ephemeral)->public_key());
  if (!out) {
    return out.error();
  }
  const auto aead = agree_and_schedule(**ephemeral, to, *out, *receiver, as_bytes(info));
  if (!aead) {
    return aead.error();
  }
  auto cipher = AesGcm::make(AesGcm::Way::kSeal, aead->key);
  if (!cipher) {
    return cipher.error();
  }
  out->resize(kPoint + secret.size() + AesGcm::kTag);
  if (auto done = cipher->seal(aead->nonce, {}, secret, std::span{*out}.subspan(kPoint)); !done) {
    return done.error();
  }
  return out;
}

Result<Bytes> hpke_open(
    const Signer& key, ByteView enc, ByteView info, ByteView aad, ByteView sealed) {
  const auto receiver = point_of(key.public_key());
  if (!receiver) {
    return receiver.error();
  }
  // Refuses what is no point of the curve (§7.1.4).
  const auto peer = PublicKey::from_der(concatenate({kSpkiHead, enc}));
  if (!peer) {
    return Error{Error::Code::kKeyInvalid, "the wrapped secret names no point of its curve"};
  }
  const auto aead = agree_and_schedule(key, *peer, enc, *receiver, info);
  if (!aead) {
    return aead.error();
  }
  auto cipher = AesGcm::make(AesGcm::Way::kOpen, aead->key);
  if (!cipher) {
    return cipher.error();
  }
  Bytes secret(sealed.size() - std::min(sealed.size(), AesGcm::kTag));
  if (auto done = cipher->open(aead->nonce, aad, sealed, secret); !done) {
    return Error{Error::Code::kKeyInvalid, "it was wrapped by another key, or changed since"};
  }
  return secret;
}

Result<Bytes> unwrap_secret(const Signer& key, ByteView wrapped, std::string_view info) {
  if (wrapped.size() < kWrapOverhead) {
    return Error{Error::Code::kKeyInvalid, "the wrapped secret was cut"};
  }
  return hpke_open(key, wrapped.first(kPoint), as_bytes(info), {}, wrapped.subspan(kPoint));
}

}  // namespace skerry::security
