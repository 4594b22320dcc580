#pragma once

// API bearer tokens for TCP clients: made once, shown once, kept as SHA-256 (the secret is 256
// random bits, so no slow hash is needed) with a name, an end and the principal they stand for. One
// JSON file of mode 0600. Thread-safe; a second process that changes the file is seen by `reload`.

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/random.hpp"
#include "skerry/security/principal.hpp"

namespace skerry::security {

struct TokenRecord {
  // The policy's subject: token:<name>.
  std::string name;
  TenantId tenant;
  WallTime created{};
  // None: it does not end by itself.
  std::optional<WallTime> expires;
  Digest hash;
};

struct NewToken {
  // "skt_" and 64 hexadecimal characters; cannot be read again.
  std::string secret;
  TokenRecord record;
};

class TokenStore {
 public:
  // A missing file is an empty store. kParse if it is damaged, kPermissionDenied if others may read
  // it.
  static Result<std::unique_ptr<TokenStore>> open(FileSystem& fs, std::filesystem::path path);

  // kAlreadyExists if the name is taken (revoke it first). Durable on return. At most 4096 tokens.
  Result<NewToken> create(std::string_view name,
                          const TenantId& tenant,
                          std::optional<std::chrono::seconds> lifetime,
                          const Clock& clock,
                          Random& random);
  // kNotFound if there is no such token. Durable on return.
  Result<void> revoke(std::string_view name);
  // The principal, or kUnauthenticated: the same answer, in the same time, for a wrong, revoked or
  // ended token.
  [[nodiscard]] Result<Principal> verify(std::string_view secret, const Clock& clock) const;
  [[nodiscard]] std::vector<TokenRecord> list() const;
  // Reads the file again.
  Result<void> reload();

 private:
  TokenStore(FileSystem& fs, std::filesystem::path path, std::vector<TokenRecord> records);
  Result<void> persist(const std::vector<TokenRecord>& records);
  FileSystem& fs_;
  std::filesystem::path path_;
  mutable std::mutex mutex_;
  std::vector<TokenRecord> records_;
};

}  // namespace skerry::security
