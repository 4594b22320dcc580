#pragma once

// What must reach the controller some day: telemetry, audit checkpoints, events, in one SQLite
// file. Each stream numbers its records from 1; a record leaves only when the controller
// acknowledged it. The file is bounded: beyond the limit the oldest telemetry is replaced by a gap
// record that covers its numbers (docs/formats/outbox.md).
//
// Thread-safe (one lock); every call is one transaction and blocks for the disk.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::agent {

inline constexpr std::string_view kTelemetryStream = "telemetry";
inline constexpr std::string_view kAuditStream = "audit";
inline constexpr std::string_view kEventStream = "events";

struct OutboxEntry {
  std::string stream;
  // A gap covers [first_seq, seq]; any other record has first_seq == seq.
  std::uint64_t seq = 0;
  std::uint64_t first_seq = 0;
  bool gap = false;
  // The record's serialised body, or the reason of a gap.
  std::string body;

  friend bool operator==(const OutboxEntry&, const OutboxEntry&) = default;
};

struct OutboxStatus {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t gaps = 0;
};

struct OutboxOptions {
  std::uint64_t max_bytes = 64ULL << 20U;
  // Name of a registered SQLite VFS; tests inject faults by it.
  std::string vfs;
};

class Outbox {
 public:
  static Result<std::unique_ptr<Outbox>> open(const std::filesystem::path& path,
                                              const OutboxOptions& options);
  ~Outbox();
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  // Returns the record's number. kTooLarge for a body above an eighth of the limit;
  // kResourceExhausted if there is no room and no telemetry is left to drop (audit and events are
  // never dropped).
  Result<std::uint64_t> append(std::string_view stream, std::string_view body);

  // Records above `after` (by stream; absent: from the start), streams in the order audit, events,
  // telemetry, each in sequence; stops after `max_bytes` of bodies, but gives at least one.
  Result<std::vector<OutboxEntry>> read(const std::map<std::string, std::uint64_t>& after,
                                        std::size_t max_bytes);

  // Cumulative: forgets everything up to and with each number. A number that was never given out is
  // kInvalidArgument and changes nothing.
  Result<void> acknowledge(const std::map<std::string, std::uint64_t>& acknowledged);

  // The controller holds more than was given out here (a restored state directory): numbering
  // continues after it, so that no record is taken for a duplicate.
  Result<void> skip_to(const std::map<std::string, std::uint64_t>& acknowledged);

  // The highest number given out, by stream.
  Result<std::map<std::string, std::uint64_t>> last();
  Result<OutboxStatus> status();

 private:
  struct Impl;
  explicit Outbox(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace skerry::agent
