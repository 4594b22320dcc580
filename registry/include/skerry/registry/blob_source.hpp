#pragma once

// Whoever can serve the bytes of a digest: the controller's chunk stream, a URL, a peer, a bundle,
// a folder. Sources are not trusted: every chunk is verified by the receiver. The agent implements
// the gRPC one; `FileSource` serves a content store's folder.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <string>

#include "skerry/common/bytes.hpp"
#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

struct BlobRange {
  Digest digest;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Takes the bytes of one range, in order, in pieces of any size.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Copies what it keeps. Blocks while the receiver is behind (that is the back-pressure). After an
  // error the source must stop and return it.
  virtual Result<void> write(ByteView bytes) = 0;
};

// Set by anyone, at any time, to make a blocking fetch return kCancelled soon. One made with a
// parent is also cancelled with it; the parent must outlive it.
class CancelFlag {
 public:
  CancelFlag() = default;
  explicit CancelFlag(const CancelFlag* parent) : parent_(parent) {}
  CancelFlag(const CancelFlag&) = delete;
  CancelFlag& operator=(const CancelFlag&) = delete;

  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool cancelled() const noexcept {
    return cancelled_.load(std::memory_order_relaxed) ||
           (parent_ != nullptr && parent_->cancelled());
  }

 private:
  const CancelFlag* parent_ = nullptr;
  std::atomic<bool> cancelled_{false};
};

// What a byte costs: from this machine or its site, or over the link that budgets and limits are
// about.
enum class SourceReach { kSite, kLink };

class BlobSource {
 public:
  virtual ~BlobSource() = default;
  // For logs and reports: "controller", "peer gw-7".
  [[nodiscard]] virtual std::string name() const = 0;
  [[nodiscard]] virtual SourceReach reach() const { return SourceReach::kLink; }
  // Writes exactly `range.length` bytes from `range.offset` to `sink`; blocks until done. kNotFound
  // if it does not have the blob, kUnavailable if asking again later may help, kCancelled after
  // `cancel`, or the sink's error. Called by one thread at a time; `sink` may be written from
  // another thread, but only until `read` returns.
  virtual Result<void> read(const BlobRange& range, ByteSink& sink, const CancelFlag& cancel) = 0;
};

// Where a folder keeps the blob of a digest.
enum class BlobNaming {
  kFannedOut,  // sha256/ab/<hex>: a store's `blobs/`
  kFlat        // sha256/<hex>: the `blobs/` of an OCI image layout
};

// Serves the blobs of a folder.
class FileSource final : public BlobSource {
 public:
  FileSource(FileSystem& fs,
             std::filesystem::path folder,
             BlobNaming naming = BlobNaming::kFannedOut)
      : fs_(fs), folder_(std::move(folder)), naming_(naming) {}
  [[nodiscard]] std::string name() const override { return "folder " + folder_.string(); }
  [[nodiscard]] SourceReach reach() const override { return SourceReach::kSite; }
  Result<void> read(const BlobRange& range, ByteSink& sink, const CancelFlag& cancel) override;

 private:
  FileSystem& fs_;
  std::filesystem::path folder_;
  BlobNaming naming_;
};

}  // namespace skerry::registry
