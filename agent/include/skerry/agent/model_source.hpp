#pragma once

// Where a gateway gets signed metadata and blobs from: the controller's streams, or a folder (USB,
// tests). Sources are not trusted; TUF and digests decide. Every call blocks and is made on a
// transfer thread.

#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "skerry/common/result.hpp"
#include "skerry/registry/blob_source.hpp"
#include "skerry/registry/wanted_blob.hpp"
#include "skerry/security/tuf/client.hpp"

namespace skerry::agent {

// A delta that a source has for a blob that is wanted. A hint: what it makes is verified.
struct DeltaOffer {
  enum class State { kNone, kPending, kReady };
  State state = State::kNone;
  // kReady: of those held, the one it was made from, and the delta itself, which `blobs` serves.
  Digest base;
  registry::WantedBlob delta;
  // kPending.
  std::chrono::milliseconds retry_after{0};
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // For logs and reports.
  [[nodiscard]] virtual std::string name() const = 0;
  // The image repository's metadata.
  virtual security::tuf::Fetcher& metadata() = 0;
  virtual registry::BlobSource& blobs() = 0;
  // A delta to `target` from one of `held` (at most 16, in order of preference). A source that
  // makes none says so.
  virtual Result<DeltaOffer> find_delta(const Digest& /*target*/,
                                        std::span<const Digest> /*held*/) {
    return DeltaOffer{};
  }
};

// A published repository (`<folder>/metadata`) and content folder (`<folder>/blobs`).
std::unique_ptr<ModelSource> make_folder_source(FileSystem& fs,
                                                const std::filesystem::path& folder);

}  // namespace skerry::agent
