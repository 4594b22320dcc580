#pragma once

// The data key of an encrypted content store: 32 random bytes, kept in `<state>/store.key` wrapped
// to the key that `storage.encryption_key` names, in a file or a TPM (docs/formats/registry.md, ADR
// 0093). Only who has that key reads the blobs. The agent opens it; `skerry registry rekey` wraps
// it anew.

#include <array>
#include <filesystem>
#include <memory>
#include <string>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::registry {

// What `store.key` says. `parse` is strict: kParse names the member that is wrong.
struct StoreKeyFile {
  static constexpr std::size_t kBytes = 4096;

  Digest wrapping_key;  // SHA-256 of its SubjectPublicKeyInfo
  Bytes wrapped;

  static Result<StoreKeyFile> parse(std::string_view json);
  [[nodiscard]] std::string serialise() const;
};

class StoreKey {
 public:
  static constexpr std::size_t kSize = 32;

  // Opens the store's key, or makes one for a store that has no sealed blob yet; then the wrapping
  // key too, where there is none. kKeyInvalid, with what to do, if `store.key` belongs to another
  // wrapping key, or the wrapping key or `store.key` is lost while sealed blobs are there. Blocks
  // while hardware works.
  static Result<std::shared_ptr<const StoreKey>> open_or_create(FileSystem& fs,
                                                                const std::filesystem::path& root,
                                                                const security::KeyUri& uri);

  // Wraps the data key to another key; no blob is touched. The old file stays until the new one is
  // durable. Nobody may use the store meanwhile (kUnavailable).
  static Result<void> rewrap(FileSystem& fs,
                             const std::filesystem::path& root,
                             const security::KeyUri& from,
                             const security::KeyUri& to);

  // Gives up a key that is lost: a new data key, wrapped to `to`. The blobs that were sealed with
  // the old one are removed at the next start and fetched again.
  static Result<void> replace_lost(FileSystem& fs,
                                   const std::filesystem::path& root,
                                   const security::KeyUri& to);

  // A key that no file keeps; for tests and benchmarks.
  static std::shared_ptr<const StoreKey> in_memory();

  ~StoreKey();
  StoreKey(const StoreKey&) = delete;
  StoreKey& operator=(const StoreKey&) = delete;

  [[nodiscard]] ByteView bytes() const { return bytes_; }

 private:
  StoreKey() = default;
  std::array<std::uint8_t, kSize> bytes_{};
};

}  // namespace skerry::registry
