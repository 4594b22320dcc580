#pragma once

// Checks an audit log or an export with nothing but the files and the public key: framing, leaf
// hashes, sequence, every checkpoint's signature and root, segment to segment. Whatever byte was
// changed, the finding names the file, the offset and the record. Used by `skerry audit verify` and
// by auditors' machines.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/checkpoint.hpp"
#include "skerry/security/key.hpp"

namespace skerry::security {

struct AuditFinding {
  std::string file;
  // Where the damaged frame begins.
  std::uint64_t offset = 0;
  // The record concerned, or the first one of a range that a bad checkpoint covers.
  std::uint64_t seq = 0;
  std::string message;

  [[nodiscard]] std::string to_string() const;
};

struct AuditVerification {
  // Records from `first_seq` (0 unless old segments were removed) up to `size`.
  std::uint64_t first_seq = 0;
  std::uint64_t size = 0;
  // Records under the last valid checkpoint.
  std::uint64_t sealed = 0;
  std::uint64_t checkpoints = 0;
  // The last valid checkpoint.
  std::optional<Checkpoint> checkpoint;
  // Empty: the log is intact. Checking stops at the first finding of each segment.
  std::vector<AuditFinding> findings;

  [[nodiscard]] bool ok() const { return findings.empty(); }
};

struct AuditVerifyOptions {
  std::string origin;
  // A checkpoint kept elsewhere (the controller is the witness): the log must contain it.
  std::optional<Checkpoint> witness;
  // Accept a torn record at the very end (a log that is being written, or a crash not yet
  // recovered).
  bool allow_torn_tail = false;
};

// `path` is the log's directory or one exported file. An error only if nothing could be read;
// damage is a finding.
Result<AuditVerification> verify_audit_log(FileSystem& fs,
                                           const std::filesystem::path& path,
                                           const PublicKey& key,
                                           const AuditVerifyOptions& options);

// Writes the segments of `directory` into one file that `verify_audit_log` accepts and that can be
// checked offline. With `from_seq` it begins at the last checkpoint at or before that record, so
// that what is exported is still proven by the log's own signatures: `first_seq` is at most
// `from_seq`. Flush the log first to have everything sealed. Durable on return. kInvalidArgument if
// the log has no record `from_seq` yet.
Result<void> export_audit_log(FileSystem& fs,
                              const std::filesystem::path& directory,
                              const std::filesystem::path& out_file,
                              std::uint64_t from_seq = 0);

// The leaf hashes of records 0 to `size` of an export, for a proof to whoever holds a smaller tree.
// They are read, not verified: a proof made of wrong ones fails. kFailedPrecondition if the export
// begins later or ends before, kAuditCorrupt.
Result<std::vector<Digest>> exported_leaves(FileSystem& fs,
                                            const std::filesystem::path& file,
                                            std::uint64_t size);

}  // namespace skerry::security
