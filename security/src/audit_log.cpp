#include "skerry/security/audit_log.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

#include "audit_segment.hpp"

namespace skerry::security {

namespace {

// A record is small by construction (audit_record.cpp bounds every field).
constexpr std::size_t kReadBatch = 65536;

}  // namespace

class AuditLog::Impl {
 public:
  Impl(FileSystem& fs, AuditOptions options, std::shared_ptr<const Signer> key, const Clock& clock)
      : fs_(fs),
        options_(std::move(options)),
        key_(std::move(key)),
        clock_(clock),
        boot_id_(boot_id()) {}

  Result<void> open();
  Result<AuditReceipt> append(const AuditEvent& event);
  Result<void> flush();
  Result<void> tick();
  Result<std::vector<AuditEntry>> read(std::uint64_t from, std::size_t max);
  Result<std::vector<Digest>> leaves(std::uint64_t size);

  [[nodiscard]] AuditStatus status() const {
    const std::lock_guard lock{mutex_};
    AuditStatus out;
    out.size = written_.frontier.size();
    out.sealed = sealed_.frontier.size();
    out.lost = lost_;
    out.recovered_bytes = recovered_bytes_;
    out.writable = !broken_ && !rotation_pending_;
    return out;
  }

  [[nodiscard]] Checkpoint checkpoint() const {
    const std::lock_guard lock{mutex_};
    return checkpoint_;
  }

  [[nodiscard]] std::string note() const {
    const std::lock_guard lock{mutex_};
    return note_;
  }

  [[nodiscard]] std::string verifier_key() const {
    // Cannot fail: a log opens only with an Ed25519 key and a valid origin.
    return note_verifier_key(options_.origin, key_->public_key()).value_or(std::string{});
  }

  [[nodiscard]] const AuditOptions& options() const { return options_; }

 private:
  // Bytes to append and where the tree stands after them.
  struct Batch {
    std::string bytes;
    MerkleFrontier frontier;
  };

  Result<void> add_record(Batch& batch, const AuditEvent& event) const;
  Result<void> add_notes(Batch& batch) const;
  Result<void> write_batch(const Batch& batch);
  Result<void> seal(Batch batch);
  Result<void> make_usable();
  // Something waits for a checkpoint.
  [[nodiscard]] bool pending() const {
    return recovery_untold_ || lost_untold_ > 0 ||
           sealed_.frontier.size() != written_.frontier.size();
  }
  Result<void> start_segment();
  void roll_back(const AuditPosition& to);

  FileSystem& fs_;
  const AuditOptions options_;
  const std::shared_ptr<const Signer> key_;
  const Clock& clock_;
  const std::string boot_id_;

  mutable std::mutex mutex_;
  // All below are guarded by mutex_.
  std::unique_ptr<File> file_;
  SegmentFile segment_;
  AuditPosition written_;
  AuditPosition sealed_;
  Checkpoint checkpoint_;
  std::string note_;
  BootTime last_seal_{};
  // Lost since the log was opened, and of those, not yet told in a record.
  std::uint64_t lost_ = 0;
  std::uint64_t lost_untold_ = 0;
  std::uint64_t recovered_bytes_ = 0;
  std::string recovered_copy_;
  bool recovery_untold_ = false;
  // The file may be longer than `written_` says; cut it before the next append.
  bool broken_ = false;
  // The segment is full and sealed; the next one must exist before the next append.
  bool rotation_pending_ = false;
};

Result<void> AuditLog::Impl::open() {
  const std::lock_guard lock{mutex_};
  if (auto made = fs_.create_directories(options_.directory, 0700); !made) {
    return made.error().with_context("audit log");
  }
  auto segments = list_segments(fs_, options_.directory);
  if (!segments) {
    return segments.error().with_context("audit log");
  }
  while (!segments->empty()) {
    auto last = recover_segment(
        fs_, options_.directory, segments->back(), options_.origin, key_->public_key());
    if (last) {
      file_ = std::move(last->file);
      segment_ = last->segment;
      written_ = std::move(last->written);
      sealed_ = std::move(last->sealed);
      checkpoint_ = std::move(last->checkpoint);
      note_ = std::move(last->note);
      recovered_bytes_ = last->torn_bytes;
      recovered_copy_ = std::move(last->torn_copy);
      recovery_untold_ = recovered_bytes_ > 0;
      last_seal_ = clock_.boot_now();
      return {};
    }
    if (last.error().code() != Error::Code::kNotFound) {
      return last.error().with_context("audit log");
    }
    // The machine stopped while this segment was being made; nothing was in it.
    if (auto gone = fs_.remove(options_.directory / segments->back().name); !gone) {
      return gone.error().with_context("audit log");
    }
    segments->pop_back();
  }
  return start_segment();
}

Result<void> AuditLog::Impl::start_segment() {
  const SegmentFile fresh{written_.frontier.size(), segment_name(written_.frontier.size())};
  const Checkpoint checkpoint{options_.origin, written_.frontier.size(), written_.frontier.root()};
  auto note = sign_checkpoint(checkpoint, options_.origin, *key_);
  if (!note) {
    return std::move(note).error();
  }
  std::string bytes{kAuditMagic};
  append_frame(
      bytes, FrameType::kHeader, SegmentHeader{options_.origin, written_.frontier}.encode());
  append_frame(bytes, FrameType::kCheckpoint, *note);
  auto file = fs_.open(options_.directory / fresh.name, OpenMode::kCreate, 0600);
  if (!file) {
    return file.error().with_context("audit segment");
  }
  auto done = (*file)->truncate(0);
  if (done) {
    done = (*file)->write_at(0, as_bytes(bytes));
  }
  if (done) {
    done = (*file)->sync();
  }
  if (done) {
    done = fs_.sync_directory(options_.directory);
  }
  if (!done) {
    return done.error().with_context("audit segment");
  }
  file_ = std::move(*file);
  segment_ = fresh;
  written_.offset = bytes.size();
  sealed_ = written_;
  checkpoint_ = checkpoint;
  note_ = std::move(*note);
  last_seal_ = clock_.boot_now();
  rotation_pending_ = false;
  return {};
}

Result<void> AuditLog::Impl::make_usable() {
  if (broken_) {
    if (auto cut = file_->truncate(written_.offset); !cut) {
      return cut.error().with_context("audit log");
    }
    broken_ = false;
  }
  if (!rotation_pending_ && written_.offset >= options_.segment_bytes) {
    Batch rest;
    rest.frontier = written_.frontier;
    if (sealed_.offset != written_.offset) {
      if (auto sealed = seal(std::move(rest)); !sealed) {
        return sealed;
      }
    }
    rotation_pending_ = true;
  }
  return rotation_pending_ ? start_segment() : Result<void>{};
}

Result<void> AuditLog::Impl::add_record(Batch& batch, const AuditEvent& event) const {
  AuditStamp stamp;
  stamp.seq = batch.frontier.size();
  stamp.wall = clock_.wall_now();
  stamp.boot = clock_.boot_now();
  stamp.boot_id = boot_id_;
  stamp.time_quality = options_.time_quality ? options_.time_quality() : TimeQuality::kUnattested;
  stamp.device_id = options_.device_id;
  stamp.tenant = options_.tenant;
  auto record = encode_audit_record(event, stamp);
  if (!record) {
    return std::move(record).error();
  }
  batch.frontier.append(append_frame(batch.bytes, FrameType::kRecord, *record));
  return {};
}

// What the log has to say of itself comes before the next record.
Result<void> AuditLog::Impl::add_notes(Batch& batch) const {
  AuditEvent event;
  event.audit_class = AuditClass::kAuditItself;
  event.actor = Principal::system("audit");
  event.authn_method = "internal";
  if (recovery_untold_) {
    event.action = "audit.recovered";
    event.reason = "a record was torn by a crash and cut off";
    Json::Object details;
    details.emplace("bytes", recovered_bytes_);
    details.emplace("copy", recovered_copy_);
    event.details = Json{std::move(details)};
    if (auto added = add_record(batch, event); !added) {
      return added;
    }
  }
  if (lost_untold_ > 0) {
    event.action = "audit.lost";
    event.outcome = AuditOutcome::kFailure;
    event.reason = "records of allowed requests could not be written";
    Json::Object details;
    details.emplace("records", lost_untold_);
    event.details = Json{std::move(details)};
    return add_record(batch, event);
  }
  return {};
}

void AuditLog::Impl::roll_back(const AuditPosition& to) {
  const std::uint64_t dropped = written_.frontier.size() - to.frontier.size();
  lost_ += dropped;
  lost_untold_ += dropped;
  written_ = to;
  broken_ = !file_->truncate(to.offset).has_value();
}

Result<void> AuditLog::Impl::write_batch(const Batch& batch) {
  if (auto done = file_->write_at(written_.offset, as_bytes(batch.bytes)); !done) {
    roll_back(written_);
    return done.error().with_context("audit log");
  }
  return {};
}

// Writes the batch and a checkpoint over everything, and syncs: one fsync for both.
Result<void> AuditLog::Impl::seal(Batch batch) {
  const Checkpoint checkpoint{options_.origin, batch.frontier.size(), batch.frontier.root()};
  auto note = sign_checkpoint(checkpoint, options_.origin, *key_);
  if (!note) {
    return std::move(note).error();
  }
  append_frame(batch.bytes, FrameType::kCheckpoint, *note);
  if (auto done = write_batch(batch); !done) {
    return done;
  }
  if (auto done = file_->sync(); !done) {
    // After a failed sync nobody knows what is on disk: back to what was sealed before.
    roll_back(sealed_);
    return done.error().with_context("audit log");
  }
  written_.offset += batch.bytes.size();
  written_.frontier = std::move(batch.frontier);
  sealed_ = written_;
  checkpoint_ = checkpoint;
  note_ = std::move(*note);
  last_seal_ = clock_.boot_now();
  return {};
}

Result<AuditReceipt> AuditLog::Impl::append(const AuditEvent& event) {
  const std::lock_guard lock{mutex_};
  const bool durable = event.durability == AuditDurability::kDurable;
  const auto refused = [&](Error error) -> Result<AuditReceipt> {
    if (durable) {
      return error;
    }
    ++lost_;
    ++lost_untold_;
    return AuditReceipt{written_.frontier.size(), false};
  };
  if (auto usable = make_usable(); !usable) {
    return refused(usable.error());
  }
  Batch batch;
  batch.frontier = written_.frontier;
  if (auto added = add_notes(batch); !added) {
    return added.error();
  }
  const AuditReceipt receipt{batch.frontier.size(), true};
  if (auto added = add_record(batch, event); !added) {
    return added.error();
  }
  if (durable) {
    if (auto sealed = seal(std::move(batch)); !sealed) {
      return refused(sealed.error());
    }
  } else {
    if (auto written = write_batch(batch); !written) {
      return refused(written.error());
    }
    written_.offset += batch.bytes.size();
    written_.frontier = std::move(batch.frontier);
  }
  recovery_untold_ = false;
  lost_untold_ = 0;
  if (written_.frontier.size() - sealed_.frontier.size() >= options_.checkpoint_records) {
    Batch nothing;
    nothing.frontier = written_.frontier;
    // A failure to seal is counted if it lost records, and is tried again at the next append or
    // tick.
    const std::uint64_t before = written_.frontier.size();
    if (auto sealed = seal(std::move(nothing)); !sealed && written_.frontier.size() < before) {
      return AuditReceipt{receipt.seq, false};
    }
  }
  return receipt;
}

Result<void> AuditLog::Impl::flush() {
  const std::lock_guard lock{mutex_};
  if (!pending()) {
    return {};
  }
  if (auto usable = make_usable(); !usable) {
    return usable;
  }
  // Making room may have sealed everything already.
  if (!pending()) {
    return {};
  }
  Batch batch;
  batch.frontier = written_.frontier;
  if (auto added = add_notes(batch); !added) {
    return added;
  }
  if (auto sealed = seal(std::move(batch)); !sealed) {
    return sealed;
  }
  recovery_untold_ = false;
  lost_untold_ = 0;
  return {};
}

Result<void> AuditLog::Impl::tick() {
  {
    const std::lock_guard lock{mutex_};
    const bool pending =
        recovery_untold_ || lost_untold_ > 0 || sealed_.frontier.size() != written_.frontier.size();
    if (!pending || clock_.boot_now() - last_seal_ < options_.checkpoint_interval) {
      return {};
    }
  }
  return flush();
}

Result<std::vector<AuditEntry>> AuditLog::Impl::read(std::uint64_t from, std::size_t max) {
  SegmentFile last;
  AuditPosition end;
  {
    const std::lock_guard lock{mutex_};
    last = segment_;
    end = written_;
  }
  std::vector<AuditEntry> out;
  if (from >= end.frontier.size() || max == 0) {
    return out;
  }
  max = std::min(max, kReadBatch);
  auto segments = list_segments(fs_, options_.directory);
  if (!segments) {
    return std::move(segments).error();
  }
  for (std::size_t i = 0; i < segments->size() && out.size() < max; ++i) {
    const SegmentFile& segment = (*segments)[i];
    if (segment.first_seq > last.first_seq) {
      break;
    }
    if (i + 1 < segments->size() && (*segments)[i + 1].first_seq <= from) {
      continue;
    }
    auto file = fs_.open(options_.directory / segment.name, OpenMode::kRead, 0600);
    if (!file) {
      return file.error().with_context("audit log");
    }
    auto status = (*file)->status();
    if (!status) {
      return std::move(status).error();
    }
    // What was written after the snapshot above may be half there.
    const std::uint64_t limit = segment.first_seq == last.first_seq ? end.offset : status->size;
    auto visited =
        visit_records(**file, limit, segment.first_seq, [&](const AuditRecordView& record) {
          if (record.seq >= from && out.size() < max) {
            out.push_back(AuditEntry{record.seq, record.frame.payload});
          }
          return out.size() < max;
        });
    if (!visited) {
      return visited.error().with_context(segment.name);
    }
  }
  return out;
}

Result<std::vector<Digest>> AuditLog::Impl::leaves(std::uint64_t size) {
  SegmentFile last;
  AuditPosition end;
  {
    const std::lock_guard lock{mutex_};
    last = segment_;
    end = sealed_;
  }
  if (size > end.frontier.size()) {
    return Error{Error::Code::kInvalidArgument,
                 "the log is sealed up to " + std::to_string(end.frontier.size()) + ", not " +
                     std::to_string(size)};
  }
  auto segments = list_segments(fs_, options_.directory);
  if (!segments) {
    return std::move(segments).error();
  }
  std::vector<Digest> out;
  for (const SegmentFile& segment : *segments) {
    if (out.size() >= size || segment.first_seq > last.first_seq) {
      break;
    }
    if (segment.first_seq != out.size()) {
      return Error{Error::Code::kFailedPrecondition,
                   "proofs need the segments from record 0 on; " + segment.name +
                       " is the first that is left"};
    }
    auto file = fs_.open(options_.directory / segment.name, OpenMode::kRead, 0600);
    if (!file) {
      return file.error().with_context("audit log");
    }
    auto status = (*file)->status();
    if (!status) {
      return std::move(status).error();
    }
    const std::uint64_t limit = segment.first_seq == last.first_seq ? end.offset : status->size;
    auto visited =
        visit_records(**file, limit, segment.first_seq, [&](const AuditRecordView& record) {
          out.push_back(record.frame.check);
          return out.size() < size;
        });
    if (!visited) {
      return visited.error().with_context(segment.name);
    }
  }
  if (out.size() < size) {
    return Error{Error::Code::kAuditCorrupt, "records are missing from the segments"};
  }
  out.resize(size);
  return out;
}

AuditLog::AuditLog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

AuditLog::~AuditLog() {
  // Nothing can be done about a failure here; the next open finds what is on disk.
  const auto ignored = impl_->flush();
  static_cast<void>(ignored);
}

Result<std::unique_ptr<AuditLog>> AuditLog::open(FileSystem& fs,
                                                 AuditOptions options,
                                                 std::shared_ptr<const Signer> key,
                                                 const Clock& clock) {
  if (options.checkpoint_records == 0 || options.segment_bytes == 0) {
    return Error{Error::Code::kInvalidArgument,
                 "audit log: checkpoint_records and segment_bytes must be positive"};
  }
  auto impl = std::make_unique<Impl>(fs, std::move(options), std::move(key), clock);
  if (auto opened = impl->open(); !opened) {
    return opened.error();
  }
  return std::unique_ptr<AuditLog>{new AuditLog(std::move(impl))};
}

Result<AuditReceipt> AuditLog::append(const AuditEvent& event) {
  return impl_->append(event);
}

Result<void> AuditLog::flush() {
  return impl_->flush();
}

Result<void> AuditLog::tick() {
  return impl_->tick();
}

AuditStatus AuditLog::status() const {
  return impl_->status();
}

Checkpoint AuditLog::checkpoint() const {
  return impl_->checkpoint();
}

std::string AuditLog::checkpoint_note() const {
  return impl_->note();
}

std::string AuditLog::verifier_key() const {
  return impl_->verifier_key();
}

Result<std::vector<AuditEntry>> AuditLog::read(std::uint64_t from_seq, std::size_t max) const {
  return impl_->read(from_seq, max);
}

Result<std::vector<Digest>> AuditLog::prove_inclusion(std::uint64_t seq, std::uint64_t size) const {
  auto leaves = impl_->leaves(size);
  if (!leaves) {
    return leaves;
  }
  return inclusion_proof(*leaves, seq);
}

Result<std::vector<Digest>> AuditLog::prove_consistency(std::uint64_t old_size,
                                                        std::uint64_t new_size) const {
  auto leaves = impl_->leaves(new_size);
  if (!leaves) {
    return leaves;
  }
  return consistency_proof(*leaves, old_size);
}

const AuditOptions& AuditLog::options() const {
  return impl_->options();
}

}  // namespace skerry::security
