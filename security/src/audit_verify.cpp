#include "skerry/security/audit_verify.hpp"

#include <utility>

#include "audit_frame.hpp"

namespace skerry::security {

namespace {

// The state of one walk over all segments.
class Verifier {
 public:
  Verifier(const PublicKey& key, const AuditVerifyOptions& options)
      : key_(key), options_(options) {}

  Result<void> file(File& file, const std::string& name, bool last);
  AuditVerification finish();

 private:
  Result<void> broken(File& file, const FrameStep& step, bool last, std::uint64_t size);
  void take(const FrameStep& step);
  void header(const FrameStep& step);
  void record(const FrameStep& step);
  void checkpoint(const FrameStep& step);
  void find(std::uint64_t offset, std::string message);
  void check_witness();

  const PublicKey& key_;
  const AuditVerifyOptions& options_;
  AuditVerification out_;
  MerkleFrontier frontier_;
  std::string origin_;
  std::string name_;
  std::string last_name_;
  std::uint64_t last_offset_ = 0;
  // The first segment has been seen.
  bool begun_ = false;
  // A header came and its checkpoint must follow at once.
  bool expect_checkpoint_ = false;
  // This segment is damaged: what follows in it cannot be placed.
  bool damaged_ = false;
  bool witness_seen_ = false;
};

void Verifier::find(std::uint64_t offset, std::string message) {
  out_.findings.push_back(AuditFinding{name_, offset, frontier_.size(), std::move(message)});
  damaged_ = true;
}

void Verifier::check_witness() {
  if (!options_.witness || options_.witness->size != frontier_.size() || witness_seen_) {
    return;
  }
  witness_seen_ = true;
  if (options_.witness->root != frontier_.root()) {
    find(last_offset_,
         "the witness saw another tree of " + std::to_string(frontier_.size()) + " records");
  }
}

void Verifier::header(const FrameStep& step) {
  auto header = SegmentHeader::decode(step.frame.payload);
  if (!header) {
    find(step.offset, "segment header: " + header.error().message());
    return;
  }
  if (!options_.origin.empty() && header->origin != options_.origin) {
    find(step.offset, "this is the log of '" + header->origin + "'");
    return;
  }
  const bool follows = header->frontier == frontier_ && header->origin == origin_;
  if (begun_ && !damaged_ && !follows) {
    find(step.offset,
         "the segment begins at record " + std::to_string(header->frontier.size()) +
             " and does not continue the one before it, which ends at record " +
             std::to_string(frontier_.size()));
  }
  if (!begun_) {
    out_.first_seq = header->frontier.size();
    begun_ = true;
  }
  // After damage a new segment starts afresh: its signed first checkpoint vouches for its edge.
  damaged_ = false;
  origin_ = header->origin;
  frontier_ = std::move(header->frontier);
  expect_checkpoint_ = true;
}

void Verifier::record(const FrameStep& step) {
  auto json = Json::parse(step.frame.payload, JsonLimits{kMaxFramePayload, 16});
  auto seq = json ? json->get_int("seq") : Result<std::int64_t>{json.error()};
  if (!seq || static_cast<std::uint64_t>(*seq) != frontier_.size()) {
    find(step.offset,
         seq ? "the record says it is number " + std::to_string(*seq)
             : "the record is no JSON with a sequence number: " + seq.error().message());
    return;
  }
  frontier_.append(step.frame.check);
}

void Verifier::checkpoint(const FrameStep& step) {
  auto checkpoint = verify_checkpoint(step.frame.payload, origin_, key_);
  if (!checkpoint) {
    find(step.offset, checkpoint.error().message());
    return;
  }
  if (checkpoint->origin != origin_ || checkpoint->size != frontier_.size() ||
      checkpoint->root != frontier_.root()) {
    find(step.offset,
         "records " + std::to_string(out_.sealed) + " to " + std::to_string(frontier_.size()) +
             " do not lead to the signed checkpoint of size " + std::to_string(checkpoint->size));
    return;
  }
  ++out_.checkpoints;
  out_.sealed = checkpoint->size;
  out_.checkpoint = std::move(*checkpoint);
}

void Verifier::take(const FrameStep& step) {
  if (step.frame.type == FrameType::kHeader) {
    header(step);
    return;
  }
  if (damaged_) {
    return;
  }
  if (!begun_) {
    find(step.offset, "the log does not begin with a segment header");
    return;
  }
  if (step.frame.type == FrameType::kCheckpoint) {
    expect_checkpoint_ = false;
    checkpoint(step);
  } else if (expect_checkpoint_) {
    find(step.offset, "a record stands before the segment's first checkpoint");
  } else {
    record(step);
  }
  check_witness();
}

Result<void> Verifier::file(File& file, const std::string& name, bool last) {
  name_ = name;
  last_offset_ = 0;
  auto status = file.status();
  if (!status) {
    return std::move(status).error();
  }
  FrameReader reader{file, status->size};
  bool header_seen = false;
  for (auto step = reader.begin();; step = reader.next()) {
    if (!step) {
      return step.error();
    }
    last_offset_ = step->offset;
    if (step->kind == FrameStep::Kind::kFrame) {
      if (!header_seen && step->frame.type != FrameType::kHeader) {
        find(step->offset, "the segment does not begin with its header");
      }
      header_seen = true;
      take(*step);
      continue;
    }
    if (step->kind == FrameStep::Kind::kEnd) {
      if (!header_seen || (expect_checkpoint_ && !damaged_)) {
        find(step->offset, "the segment has no complete beginning");
      }
      return {};
    }
    return broken(file, *step, last, status->size);
  }
}

// The framing ends here: a write that was cut off, or damage.
Result<void> Verifier::broken(File& file, const FrameStep& step, bool last, std::uint64_t size) {
  if (step.kind == FrameStep::Kind::kTorn && last && options_.allow_torn_tail) {
    auto follows = frame_follows(file, step.offset + 1, size);
    if (!follows) {
      return follows.error();
    }
    if (!*follows) {
      return {};
    }
  }
  if (!damaged_) {
    find(step.offset, step.message);
  }
  // Frames of further segments may follow in an export, but their place is lost with the framing.
  damaged_ = true;
  return {};
}

AuditVerification Verifier::finish() {
  out_.size = frontier_.size();
  name_ = name_.empty() ? "audit log" : name_;
  if (options_.witness && !witness_seen_ && out_.findings.empty()) {
    if (options_.witness->size > frontier_.size()) {
      find(last_offset_,
           "the log was cut: the witness saw " + std::to_string(options_.witness->size) +
               " records, " + std::to_string(frontier_.size()) + " are left");
    } else if (options_.witness->size > 0) {
      find(0, "the witness's checkpoint lies before the first record that is left");
    }
  }
  return std::move(out_);
}

}  // namespace

std::string AuditFinding::to_string() const {
  return file + " at offset " + std::to_string(offset) + " (record " + std::to_string(seq) +
         "): " + message;
}

Result<AuditVerification> verify_audit_log(FileSystem& fs,
                                           const std::filesystem::path& path,
                                           const PublicKey& key,
                                           const AuditVerifyOptions& options) {
  auto status = fs.status(path);
  if (!status) {
    return status.error().with_context("audit log");
  }
  std::vector<std::filesystem::path> files{path};
  if (status->is_directory) {
    auto segments = list_segments(fs, path);
    if (!segments) {
      return segments.error().with_context("audit log");
    }
    files.clear();
    for (const SegmentFile& segment : *segments) {
      files.push_back(path / segment.name);
    }
    if (files.empty()) {
      return Error{Error::Code::kNotFound, path.string() + " holds no audit segment"};
    }
  }
  Verifier verifier{key, options};
  for (std::size_t i = 0; i < files.size(); ++i) {
    auto file = fs.open(files[i], OpenMode::kRead);
    if (!file) {
      return file.error().with_context("audit log");
    }
    auto walked = verifier.file(**file, files[i].filename().string(), i + 1 == files.size());
    if (!walked) {
      return walked.error().with_context(files[i].string());
    }
  }
  return verifier.finish();
}

}  // namespace skerry::security
