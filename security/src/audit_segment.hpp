#pragma once

// Opening the last segment after a stop or a crash: where the tree stands, what is sealed, and a
// torn end set aside. Private to the audit log.

#include <memory>
#include <string>

#include "skerry/security/checkpoint.hpp"
#include "skerry/security/key.hpp"

#include "audit_frame.hpp"

namespace skerry::security {

// A position in the log: the tree over the first `frontier.size()` records, and the segment's
// length with them.
struct AuditPosition {
  MerkleFrontier frontier;
  std::uint64_t offset = 0;
};

struct RecoveredSegment {
  SegmentFile segment;
  std::unique_ptr<File> file;
  // The end of what is intact, and of what the last checkpoint covers.
  AuditPosition written;
  AuditPosition sealed;
  Checkpoint checkpoint;
  std::string note;
  // Bytes of a torn end that were cut off; their copy's name.
  std::uint64_t torn_bytes = 0;
  std::string torn_copy;
};

// Reads the segment, checks it against its checkpoints (the signatures of the first and the last
// one), cuts a torn end off. kAuditCorrupt for damage that a crash cannot explain; nothing is
// changed then. kNotFound if the segment's beginning is torn: it never came to be.
Result<RecoveredSegment> recover_segment(FileSystem& fs,
                                         const std::filesystem::path& directory,
                                         const SegmentFile& segment,
                                         std::string_view origin,
                                         const PublicKey& key);

// The records [from, from + max) of one segment, and their leaf hashes, through `visit`; `end` is
// how far the file may be read. Damage is kAuditCorrupt.
struct AuditRecordView {
  std::uint64_t seq = 0;
  const AuditFrame& frame;
};

template <class Visit>
Result<void> visit_records(File& file, std::uint64_t end, std::uint64_t first_seq, Visit visit) {
  FrameReader reader{file, end};
  std::uint64_t seq = first_seq;
  for (auto step = reader.begin();; step = reader.next()) {
    if (!step) {
      return step.error();
    }
    if (step->kind == FrameStep::Kind::kEnd) {
      return {};
    }
    if (step->kind != FrameStep::Kind::kFrame) {
      return Error{Error::Code::kAuditCorrupt,
                   "record " + std::to_string(seq) + " at offset " + std::to_string(step->offset) +
                       ": " + step->message};
    }
    if (step->frame.type == FrameType::kRecord && !visit(AuditRecordView{seq++, step->frame})) {
      return {};
    }
  }
}

}  // namespace skerry::security
