// Making a delta: plan, code segment by segment on several threads, check each, write the
// directory.

#include <algorithm>
#include <optional>

#include "skerry/registry/delta.hpp"

#include "../on_threads.hpp"
#include "container.hpp"
#include "decode.hpp"
#include "packing.hpp"
#include "plan.hpp"
#include "segment_coder.hpp"

namespace skerry::registry {
namespace {

using delta::PlannedSegment;
using delta::Segment;
using delta::SegmentKind;

struct CodedSegment {
  Segment segment;
  Bytes payload;
};

// Predicted where that came back right and is smaller, else packed, else stored.
Result<CodedSegment> code_segment(File& base,
                                  std::uint64_t base_size,
                                  File& target,
                                  const PlannedSegment& planned) {
  CodedSegment coded;
  coded.segment.kind = planned.kind;
  coded.segment.length = planned.length;
  coded.segment.base_offset = planned.base_offset;
  if (planned.kind == SegmentKind::kCopy) {
    return coded;
  }
  Bytes bytes(static_cast<std::size_t>(planned.length));
  if (auto ok = delta::read_exactly(target, planned.offset, bytes); !ok) {
    return ok.error().with_context("reading the target");
  }
  Bytes dictionary;
  if (planned.kind == SegmentKind::kPredicted) {
    auto payload = delta::encode_segment(base, planned.parts, bytes);
    if (!payload) {
      return payload.error().with_context("reading the base");
    }
    Bytes again(bytes.size());
    const auto decoded = delta::decode_segment(base, base_size, *payload, again);
    if (decoded && again == bytes && payload->size() < bytes.size()) {
      coded.payload = std::move(*payload);
      coded.segment.payload_length = coded.payload.size();
      return coded;
    }
  } else {
    dictionary.resize(static_cast<std::size_t>(planned.base_length));
    if (auto ok = delta::read_exactly(base, planned.base_offset, dictionary); !ok) {
      return ok.error().with_context("reading the base");
    }
  }
  coded.segment.kind = SegmentKind::kPacked;
  coded.segment.base_length = dictionary.size();
  coded.payload = delta::pack_bytes(bytes, dictionary);
  Bytes again(bytes.size());
  if (coded.payload.empty() || !delta::unpack_bytes(coded.payload, dictionary, again) ||
      again != bytes) {
    coded.segment = {.kind = SegmentKind::kStored, .length = planned.length};
    coded.payload = std::move(bytes);
  }
  coded.segment.payload_length = coded.payload.size();
  return coded;
}

class Maker {
 public:
  Maker(File& base, File& target, const DeltaHeader& header, File& out, const DeltaOptions& options)
      : base_(base), target_(target), header_(header), out_(out), options_(options) {}

  Result<DeltaSummary> run() {
    const auto plan =
        delta::plan_delta(base_, header_.base_size, target_, header_.target_size, options_.cancel);
    if (!plan) {
      return plan.error();
    }
    if (plan->size() > delta::kMaxSegments) {
      return Error{Error::Code::kFailedPrecondition,
                   "delta: more segments than the format allows; the files are too different"};
    }
    const std::size_t together = std::clamp(options_.threads, 1U, 16U);
    for (std::size_t i = 0; i < plan->size(); i += together) {
      const std::size_t count = std::min(together, plan->size() - i);
      if (auto ok = code_group(std::span{*plan}.subspan(i, count)); !ok) {
        return ok.error();
      }
    }
    return finish();
  }

 private:
  Result<void> code_group(std::span<const PlannedSegment> group) {
    if (options_.cancel != nullptr && options_.cancel->cancelled()) {
      return Error{Error::Code::kCancelled, "making the delta was cancelled"};
    }
    std::vector<std::optional<Result<CodedSegment>>> coded(group.size());
    on_threads(group.size(), [&](std::size_t i) {
      coded[i] = code_segment(base_, header_.base_size, target_, group[i]);
    });
    for (const auto& result : coded) {
      if (!*result) {
        return result->error();
      }
      if (auto ok = append(**result); !ok) {
        return ok;
      }
    }
    return {};
  }

  Result<void> append(const CodedSegment& coded) {
    const std::uint64_t limit = options_.largest != 0 ? options_.largest : header_.target_size;
    if (at_ + coded.payload.size() >= limit) {
      return Error{Error::Code::kFailedPrecondition,
                   "delta: it would take " + std::to_string(limit) +
                       " bytes or more; the full file is the better choice"};
    }
    if (auto ok = out_.write_at(at_, coded.payload); !ok) {
      return ok.error().with_context("writing the delta");
    }
    at_ += coded.payload.size();
    delta::count(summary_, coded.segment);
    segments_.push_back(coded.segment);
    return {};
  }

  Result<DeltaSummary> finish() {
    const Bytes directory = delta::serialize_directory(segments_);
    const std::uint64_t limit = options_.largest != 0 ? options_.largest : header_.target_size;
    if (at_ + directory.size() >= limit || directory.size() > delta::kMaxDirectory) {
      return Error{Error::Code::kFailedPrecondition,
                   "delta: it would take " + std::to_string(at_ + directory.size()) +
                       " bytes; the full file is the better choice"};
    }
    if (auto ok = out_.write_at(at_, directory); !ok) {
      return ok.error().with_context("writing the delta");
    }
    // The header last: a file without it is no delta.
    if (auto ok = out_.write_at(0, delta::serialize_header(header_, at_, directory)); !ok) {
      return ok.error().with_context("writing the delta");
    }
    summary_.header = header_;
    summary_.delta_bytes = at_ + directory.size();
    summary_.segments = segments_.size();
    return summary_;
  }

  File& base_;
  File& target_;
  DeltaHeader header_;
  File& out_;
  const DeltaOptions& options_;
  std::vector<Segment> segments_;
  DeltaSummary summary_;
  std::uint64_t at_ = delta::kHeaderBytes;
};

}  // namespace

Result<DeltaSummary> make_delta(
    File& base, File& target, const DeltaHeader& header, File& out, const DeltaOptions& options) {
  for (const auto& [file, size, name] : {std::tuple{&base, header.base_size, "base"},
                                         std::tuple{&target, header.target_size, "target"}}) {
    const auto status = file->status();
    if (!status) {
      return status.error().with_context(name);
    }
    if (status->size != size || size > delta::kMaxFile) {
      return Error{Error::Code::kSizeMismatch,
                   std::string{"delta: the "} + name + " has " + std::to_string(status->size) +
                       " bytes, expected " + std::to_string(size)};
    }
  }
  return Maker{base, target, header, out, options}.run();
}

}  // namespace skerry::registry
