#pragma once

// The bytes of a segment file (docs/formats/audit.md): a magic, then frames
//   type:u8  length:u32 little-endian  payload  check:32 bytes = SHA-256(type ‖ payload)
// For a record (type 0) the check is its RFC 6962 leaf hash. Shared by the log, the verifier and
// their tests.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/file_system.hpp"
#include "skerry/common/result.hpp"
#include "skerry/security/merkle.hpp"

namespace skerry::security {

constexpr std::string_view kAuditMagic = "SKAUDIT1";
constexpr std::size_t kFrameHead = 5;
constexpr std::size_t kFrameCheck = Digest::kSize;
constexpr std::size_t kMaxFramePayload = 64U << 10U;

// 0x01 is left out: it is the prefix of inner nodes.
enum class FrameType : std::uint8_t { kRecord = 0x00, kCheckpoint = 0x02, kHeader = 0x03 };

struct AuditFrame {
  FrameType type = FrameType::kRecord;
  std::string payload;
  // The leaf hash of a record.
  Digest check;
};

// Appends the frame to `out` and returns its check.
Digest append_frame(std::string& out, FrameType type, std::string_view payload);

// What begins every segment: where the tree stood.
struct SegmentHeader {
  std::string origin;
  MerkleFrontier frontier;

  [[nodiscard]] std::string encode() const;
  static Result<SegmentHeader> decode(std::string_view payload);
};

struct FrameStep {
  enum class Kind {
    kFrame,
    kEnd,
    kTorn,  // the file ends inside a frame
    kBad    // the bytes are not a frame
  };
  Kind kind = Kind::kEnd;
  // Where this step begins.
  std::uint64_t offset = 0;
  AuditFrame frame;
  std::string message;
};

// Reads frames in order through one buffer. Stops for good at kEnd, kTorn or kBad.
class FrameReader {
 public:
  // `end` cuts the file short (what was written after it is not looked at).
  explicit FrameReader(File& file, std::uint64_t end);

  // Checks the magic; kBad or kTorn otherwise. Call it first.
  Result<FrameStep> begin();
  Result<FrameStep> next();
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

 private:
  // At least `size` bytes from the current offset, or fewer at the end.
  Result<std::string_view> peek(std::size_t size);

  File& file_;
  std::uint64_t end_;
  std::uint64_t offset_ = 0;
  std::string buffer_;
  std::uint64_t buffer_start_ = 0;
};

// True if some valid frame begins at or after `offset`: what is broken before it was not the torn
// end of an append.
Result<bool> frame_follows(File& file, std::uint64_t offset, std::uint64_t end);

// "seg-<first sequence, 20 digits>.log".
std::string segment_name(std::uint64_t first_seq);
// The first sequence; none for another kind of file.
std::optional<std::uint64_t> parse_segment_name(std::string_view name);

struct SegmentFile {
  std::uint64_t first_seq = 0;
  std::string name;
};

// In order of sequence.
Result<std::vector<SegmentFile>> list_segments(FileSystem& fs,
                                               const std::filesystem::path& directory);

}  // namespace skerry::security
