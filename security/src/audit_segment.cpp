#include "audit_segment.hpp"

#include <utility>

namespace skerry::security {

namespace {

Error corrupt(const SegmentFile& segment,
              std::uint64_t offset,
              std::uint64_t seq,
              const std::string& why) {
  return Error{Error::Code::kAuditCorrupt,
               segment.name + " at offset " + std::to_string(offset) + " (record " +
                   std::to_string(seq) + "): " + why +
                   "; run 'skerry audit verify' and keep the files as evidence"};
}

class Recovery {
 public:
  Recovery(const SegmentFile& segment, std::string_view origin, const PublicKey& key, File& file)
      : segment_(segment), origin_(origin), key_(key), file_(file) {}

  // Walks to the end or to the first thing that is no frame.
  Result<void> walk(std::uint64_t size) {
    FrameReader reader{file_, size};
    for (auto step = reader.begin();; step = reader.next()) {
      if (!step) {
        return step.error();
      }
      if (step->kind == FrameStep::Kind::kFrame) {
        if (auto taken = take(*step, reader.offset()); !taken) {
          return taken;
        }
        continue;
      }
      if (step->kind != FrameStep::Kind::kEnd) {
        if (auto torn = check_torn(*step, size); !torn) {
          return torn;
        }
      }
      break;
    }
    if (!begun()) {
      return Error{Error::Code::kNotFound, segment_.name + " has no complete beginning"};
    }
    return check_last_signature();
  }

  [[nodiscard]] bool begun() const { return !note_.empty(); }

  AuditPosition written_;
  AuditPosition sealed_;
  Checkpoint checkpoint_;
  std::string note_;

 private:
  Result<void> take(const FrameStep& step, std::uint64_t end) {
    const AuditFrame& frame = step.frame;
    const bool first = step.offset == kAuditMagic.size();
    if (first != (frame.type == FrameType::kHeader)) {
      return bad(step, first ? "the segment does not begin with its header" : "a second header");
    }
    if (frame.type == FrameType::kHeader) {
      auto header = SegmentHeader::decode(frame.payload);
      if (!header || header->frontier.size() != segment_.first_seq || header->origin != origin_) {
        return bad(
            step, header ? "the header belongs to another log or place" : header.error().message());
      }
      written_ = AuditPosition{std::move(header->frontier), end};
      return {};
    }
    if (frame.type == FrameType::kRecord) {
      if (!begun()) {
        return bad(step, "a record before the segment's first checkpoint");
      }
      written_.frontier.append(frame.check);
      written_.offset = end;
      return {};
    }
    return take_checkpoint(step, end);
  }

  Result<void> take_checkpoint(const FrameStep& step, std::uint64_t end) {
    // The first one vouches for the header's edge; of the others only the last is checked in full,
    // since it covers them.
    auto checkpoint = begun() ? parse_checkpoint(step.frame.payload)
                              : verify_checkpoint(step.frame.payload, origin_, key_);
    if (!checkpoint) {
      return bad(step, checkpoint.error().message());
    }
    if (checkpoint->origin != origin_ || checkpoint->size != written_.frontier.size() ||
        checkpoint->root != written_.frontier.root()) {
      return bad(step, "the records do not lead to this checkpoint");
    }
    written_.offset = end;
    sealed_ = written_;
    checkpoint_ = std::move(*checkpoint);
    note_ = step.frame.payload;
    last_offset_ = step.offset;
    return {};
  }

  Result<void> check_torn(const FrameStep& step, std::uint64_t size) {
    // Nothing is appended behind an incomplete frame, so a whole one there means that bytes were
    // changed and not lost.
    auto follows = frame_follows(file_, step.offset + 1, size);
    if (!follows) {
      return follows.error();
    }
    return *follows ? bad(step, step.message + ", and intact frames follow") : Result<void>{};
  }

  Result<void> check_last_signature() {
    auto checkpoint = verify_checkpoint(note_, origin_, key_);
    if (!checkpoint) {
      return corrupt(
          segment_, last_offset_, written_.frontier.size(), checkpoint.error().message());
    }
    return {};
  }

  [[nodiscard]] Error bad(const FrameStep& step, const std::string& why) const {
    return corrupt(segment_, step.offset, written_.frontier.size(), why);
  }

  const SegmentFile& segment_;
  std::string_view origin_;
  const PublicKey& key_;
  File& file_;
  std::uint64_t last_offset_ = 0;
};

// Copies [offset, size) to a file of its own. Best effort: a full disk must not keep the log shut.
Result<void> copy_tail(FileSystem& fs,
                       File& file,
                       std::uint64_t offset,
                       std::uint64_t size,
                       const std::filesystem::path& to) {
  constexpr std::uint64_t kMost = 8U << 20U;
  Bytes bytes(static_cast<std::size_t>(std::min(size - offset, kMost)));
  auto got = file.read_at(offset, bytes);
  if (!got) {
    return got.error();
  }
  return write_file_atomic(fs, to, as_text(ByteView{bytes}.first(*got)), 0600);
}

}  // namespace

Result<RecoveredSegment> recover_segment(FileSystem& fs,
                                         const std::filesystem::path& directory,
                                         const SegmentFile& segment,
                                         std::string_view origin,
                                         const PublicKey& key) {
  auto file = fs.open(directory / segment.name, OpenMode::kReadWrite, 0600);
  if (!file) {
    return std::move(file).error();
  }
  auto status = (*file)->status();
  if (!status) {
    return std::move(status).error();
  }
  Recovery recovery{segment, origin, key, **file};
  if (auto walked = recovery.walk(status->size); !walked) {
    return walked.error();
  }
  RecoveredSegment out;
  out.segment = segment;
  out.written = std::move(recovery.written_);
  out.sealed = std::move(recovery.sealed_);
  out.checkpoint = std::move(recovery.checkpoint_);
  out.note = std::move(recovery.note_);
  if (out.written.offset < status->size) {
    out.torn_bytes = status->size - out.written.offset;
    out.torn_copy = "torn-" + std::to_string(out.written.frontier.size()) + "-" +
                    std::to_string(out.written.offset);
    if (!copy_tail(fs, **file, out.written.offset, status->size, directory / out.torn_copy)) {
      out.torn_copy.clear();
    }
    if (auto cut = (*file)->truncate(out.written.offset); !cut) {
      return cut.error().with_context("cutting a torn record off");
    }
    if (auto synced = (*file)->sync(); !synced) {
      return synced.error().with_context("cutting a torn record off");
    }
  }
  out.file = std::move(*file);
  return out;
}

}  // namespace skerry::security
