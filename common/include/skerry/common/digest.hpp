#pragma once

// `Digest` is a SHA-256 value, the name of a blob everywhere: on disk, in manifests
// ("sha256:<hex>"), on the wire (32 raw bytes). `Sha256` computes one as bytes arrive.

#include <array>
#include <compare>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry {

class Digest {
 public:
  static constexpr std::size_t kSize = 32;

  // All zero: "no digest".
  Digest() = default;
  explicit Digest(const std::array<std::uint8_t, kSize>& bytes) : bytes_(bytes) {}

  // Accepts "sha256:<64 hex>" and nothing else (the OCI digest grammar for SHA-256).
  static Result<Digest> parse(std::string_view text);
  // Accepts exactly 64 hexadecimal characters.
  static Result<Digest> from_hex(std::string_view hex);
  // Accepts exactly 32 bytes.
  static Result<Digest> from_bytes(ByteView bytes);
  static Digest of(ByteView data);
  static Digest of(std::string_view data) { return of(as_bytes(data)); }

  [[nodiscard]] ByteView bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::string hex() const { return to_hex(bytes_); }
  [[nodiscard]] std::string to_string() const { return "sha256:" + hex(); }
  // The 32 bytes as a std::string, for protobuf `bytes` fields and SQLite blobs.
  [[nodiscard]] std::string raw() const { return std::string{as_text(bytes_)}; }
  [[nodiscard]] bool is_zero() const noexcept;

  friend auto operator<=>(const Digest&, const Digest&) = default;
  friend bool operator==(const Digest&, const Digest&) = default;

 private:
  std::array<std::uint8_t, kSize> bytes_{};
};

// Incremental SHA-256. Not thread-safe; movable.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteView data);
  void update(std::string_view data) { update(as_bytes(data)); }
  // Returns the digest and starts over.
  Digest finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry

template <>
struct std::hash<skerry::Digest> {
  std::size_t operator()(const skerry::Digest& digest) const noexcept {
    std::size_t value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
      value = (value << 8U) | digest.bytes()[i];
    }
    return value;
  }
};
