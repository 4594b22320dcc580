#pragma once

// Signed tree heads in the C2SP forms: a tlog-checkpoint inside a signed note with Ed25519
// signatures (type 0x01). The device signs them, the controller keeps the highest one and co-signs,
// anybody verifies them with the key line alone.
//
//   skerry.audit/gw-17\n4711\n<base64 root>\n\n— skerry.audit/gw-17 <base64 key hash ‖ signature>\n

#include <cstdint>
#include <string>
#include <string_view>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/key.hpp"
#include "skerry/security/signer.hpp"

namespace skerry::security {

struct Checkpoint {
  // Which log: no spaces, no '+', 1 to 200 characters.
  std::string origin;
  std::uint64_t size = 0;
  Digest root;

  // The note's text: three lines.
  [[nodiscard]] std::string body() const;

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

// The note for `checkpoint`, signed under the name `signer_name` (the log's is its origin).
// kKeyInvalid unless the key is Ed25519.
Result<std::string> sign_checkpoint(const Checkpoint& checkpoint,
                                    std::string_view signer_name,
                                    const Signer& key);

// Adds a witness's signature line to a note.
Result<std::string> cosign_checkpoint(std::string_view note,
                                      std::string_view witness_name,
                                      const Signer& witness);

// Parses a note of at most 8 KiB and 16 signatures and requires a valid signature by `key` under
// `signer_name`; signatures by others are ignored. kAuditCorrupt says what is wrong.
Result<Checkpoint> verify_checkpoint(std::string_view note,
                                     std::string_view signer_name,
                                     const PublicKey& key);
// The same without a signature check: for display only.
Result<Checkpoint> parse_checkpoint(std::string_view note);

// The C2SP verifier key: "<name>+<8 hex key hash>+<base64(0x01 ‖ key)>".
Result<std::string> note_verifier_key(std::string_view name, const PublicKey& key);
struct NoteVerifier {
  std::string name;
  PublicKey key;
};
Result<NoteVerifier> parse_note_verifier_key(std::string_view text);

}  // namespace skerry::security
