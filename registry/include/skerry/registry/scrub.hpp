#pragma once

// Reads blobs again, slowly, and compares them with their names: finds what a disk lost, and
// settles blobs that were checked only against a chunk index (ADR 0050). What is wrong goes to
// quarantine and is fetched again if somebody serves it. The agent runs it in idle time; `skerry
// registry scrub` asks it to.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/clock.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/fetcher.hpp"
#include "skerry/registry/wanted_blob.hpp"

namespace skerry::registry {

struct ScrubOptions {
  // Bytes per second; 0: as fast as the disk gives them.
  std::uint64_t rate_limit = 0;
  // Leaves out blobs whose whole digest was checked more recently than this.
  std::chrono::milliseconds older_than{0};
  // Ends after the blob that makes it this many bytes; 0: all.
  std::uint64_t max_bytes = 0;
};

// A blob that was not what its name says.
struct ScrubFinding {
  Digest digest;
  std::uint64_t size = 0;
  bool healed = false;
  // "acme/log-triage 1.2.0 weights.gguf: fetched again", "…: no source has it", "a chunk index; it
  // is fetched again when it is needed"
  std::string detail;

  friend bool operator==(const ScrubFinding&, const ScrubFinding&) = default;
};

struct ScrubReport {
  std::uint64_t blobs = 0;    // read and right
  std::uint64_t bytes = 0;    // of these and of the findings
  std::uint64_t settled = 0;  // of `blobs`: so far checked only against a chunk index
  std::uint64_t skipped = 0;  // checked recently enough
  std::vector<ScrubFinding> findings;
};

class Scrubber {
 public:
  // Gets a blob into the store; kNotFound and kUnavailable are findings, not failures.
  using Heal = std::function<Result<void>(const WantedBlob&)>;

  // References must outlive the scrubber. `pause` waits that long, or less when cancelled.
  Scrubber(BlobStore& store, Catalogue& catalogue, const Clock& clock, Fetcher::Pause pause);

  // Blocks. The blobs that were checked longest ago come first, those never checked as a whole
  // before them, so that a run that is cut short goes on where it stopped. kCancelled when
  // cancelled inside a blob; that blob counts as not read. Without `heal` findings stay as they
  // are.
  Result<ScrubReport> run(const ScrubOptions& options, const CancelFlag& cancel, const Heal& heal);

 private:
  Result<void> scrub(const BlobRecord& record,
                     TokenBucket& bucket,
                     const CancelFlag& cancel,
                     const Heal& heal,
                     ScrubReport& report);
  ScrubFinding repair(const BlobRecord& record, const Heal& heal);

  BlobStore& store_;
  Catalogue& catalogue_;
  const Clock& clock_;
  Fetcher::Pause pause_;
};

// A file that some recorded manifest names with this digest, and which ("acme/log-triage 1.2.0
// weights.gguf"). Reads every manifest.
struct NamedBlob {
  WantedBlob wanted;
  std::string name;
};
Result<std::optional<NamedBlob>> find_named(Catalogue& catalogue, const Digest& digest);

}  // namespace skerry::registry
