#include "plan.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "block_codec.hpp"
#include "chunk_match.hpp"
#include "layout.hpp"

namespace skerry::registry::delta {
namespace {

// Copies shorter than this travel inside a predicted segment instead of ending it.
constexpr std::uint64_t kSmallCopy = 64U << 10U;
// Bytes between tensors that are written as they are.
constexpr std::uint64_t kSmallGap = 4U << 10U;
// How far around the place where bytes were lost their like is looked for in the base.
constexpr std::uint64_t kDictionaryReach = 2U << 20U;
constexpr std::uint64_t kCompareWindow = 1U << 20U;
constexpr std::size_t kPartsPerSegment = 2048;
constexpr std::size_t kMaxRenames = 4096;

class Planner {
 public:
  Planner(File& base,
          std::uint64_t base_size,
          File& target,
          std::uint64_t target_size,
          const CancelFlag* cancel)
      : base_(base),
        base_size_(base_size),
        target_(target),
        target_size_(target_size),
        cancel_(cancel) {}

  Result<std::vector<PlannedSegment>> run();

 private:
  Result<void> tensor(const Tensor& now, const std::map<std::string, const Tensor*>& known);
  Result<void> gap(std::uint64_t end, std::uint64_t base_data);
  Result<void> plain(std::uint64_t length, ByteRange known);
  Result<bool> equal(std::uint64_t base_offset, std::uint64_t offset, std::uint64_t length);
  void copy(std::uint64_t base_offset, std::uint64_t length);
  void predict(std::uint8_t coding, std::uint64_t base_offset, std::uint64_t length);
  void pack(std::uint64_t length, std::uint64_t base_offset, std::uint64_t base_length);
  void flush();
  void add_part(const Part& part);

  File& base_;
  std::uint64_t base_size_;
  File& target_;
  std::uint64_t target_size_;
  const CancelFlag* cancel_;
  std::vector<PlannedSegment> segments_;
  PlannedSegment open_{.kind = SegmentKind::kPredicted};
  // Up to where the target is planned, and what follows the last range of the base that was used.
  std::uint64_t at_ = 0;
  std::uint64_t base_at_ = 0;
  std::size_t renames_tried_ = 0;
};

Result<std::vector<PlannedSegment>> Planner::run() {
  const auto now = tensors_of(target_, target_size_);
  const auto before = now.empty() ? std::vector<Tensor>{} : tensors_of(base_, base_size_);
  if (now.empty() || before.empty()) {
    if (auto ok = plain(target_size_, {0, base_size_}); !ok) {
      return ok.error();
    }
    return std::move(segments_);
  }
  std::map<std::string, const Tensor*> known;
  for (const Tensor& tensor : before) {
    known.emplace(tensor.name, &tensor);
  }
  for (const Tensor& current : now) {
    if (auto ok = gap(current.offset, before.front().offset); !ok) {
      return ok.error();
    }
    if (auto ok = tensor(current, known); !ok) {
      return ok.error();
    }
  }
  if (auto ok = gap(target_size_, before.front().offset); !ok) {
    return ok.error();
  }
  flush();
  return std::move(segments_);
}

Result<bool> Planner::equal(std::uint64_t base_offset, std::uint64_t offset, std::uint64_t length) {
  Bytes a;
  Bytes b;
  for (std::uint64_t done = 0; done < length;) {
    if (cancel_ != nullptr && cancel_->cancelled()) {
      return Error{Error::Code::kCancelled, "making the delta was cancelled"};
    }
    const auto step = static_cast<std::size_t>(std::min(kCompareWindow, length - done));
    a.resize(step);
    b.resize(step);
    if (auto ok = read_exactly(base_, base_offset + done, a); !ok) {
      return ok.error();
    }
    if (auto ok = read_exactly(target_, offset + done, b); !ok) {
      return ok.error();
    }
    if (a != b) {
      return false;
    }
    done += step;
  }
  return true;
}

Result<void> Planner::tensor(const Tensor& now, const std::map<std::string, const Tensor*>& known) {
  const auto found = known.find(now.name);
  const bool alike = found != known.end() && found->second->shape == now.shape &&
                     found->second->bytes == now.bytes;
  if (!alike) {
    flush();
    // A tensor that is new here: nothing predicts it, but it may have been renamed.
    for (const auto& [name, other] : known) {
      if (other->bytes == now.bytes && other->shape == now.shape && renames_tried_ < kMaxRenames) {
        ++renames_tried_;
        const auto same = equal(other->offset, at_, now.bytes);
        if (!same) {
          return same.error();
        }
        if (*same) {
          copy(other->offset, now.bytes);
          return {};
        }
      }
    }
    pack(now.bytes, 0, 0);
    return {};
  }
  const Tensor& old = *found->second;
  const std::uint64_t unit = now.coding ? *coding_unit(*now.coding) : 1;
  const std::uint64_t step = kSegmentBytes / unit * unit;
  for (std::uint64_t done = 0; done < now.bytes;) {
    const std::uint64_t length = std::min(step, now.bytes - done);
    const auto same = equal(old.offset + done, at_, length);
    if (!same) {
      return same.error();
    }
    if (*same) {
      copy(old.offset + done, length);
    } else if (now.coding) {
      predict(*now.coding, old.offset + done, length);
    } else {
      pack(length, old.offset + done, length);
    }
    done += length;
  }
  return {};
}

// What lies before `end` and belongs to no tensor: the header, padding, a tail.
Result<void> Planner::gap(std::uint64_t end, std::uint64_t base_data) {
  const std::uint64_t length = end - at_;
  if (length == 0) {
    return {};
  }
  if (at_ == 0) {
    return plain(length, {0, std::min(base_data, base_size_)});
  }
  if (length <= base_size_ - std::min(base_at_, base_size_)) {
    const auto same = equal(base_at_, at_, length);
    if (!same) {
      return same.error();
    }
    if (*same) {
      copy(base_at_, length);
      return {};
    }
  }
  if (length <= kSmallGap && !open_.parts.empty() && open_.length + length <= kSegmentBytes) {
    add_part({kPartBytes, length, 0});
    return {};
  }
  flush();
  pack(length, 0, 0);
  return {};
}

Result<void> Planner::plain(std::uint64_t length, ByteRange known) {
  flush();
  auto pieces = match_chunks(base_, known, target_, {at_, length}, cancel_);
  if (!pieces) {
    return pieces.error();
  }
  for (const MatchedPiece& piece : *pieces) {
    if (piece.found) {
      copy(piece.base_offset, piece.length);
      continue;
    }
    for (std::uint64_t done = 0; done < piece.length;) {
      const std::uint64_t step = std::min(kSegmentBytes, piece.length - done);
      // The base around the place where the target went on.
      const std::uint64_t begin = std::clamp(base_at_ - std::min(base_at_, kDictionaryReach),
                                             known.offset,
                                             known.offset + known.length);
      const std::uint64_t reach =
          std::min(2 * kDictionaryReach + step, known.offset + known.length - begin);
      const std::uint64_t next = base_at_ + step;
      pack(step, begin, std::min(reach, kMaxPrefix));
      base_at_ = next;
      done += step;
    }
  }
  return {};
}

void Planner::flush() {
  if (!open_.parts.empty()) {
    segments_.push_back(std::move(open_));
  }
  open_ = {.kind = SegmentKind::kPredicted};
}

void Planner::add_part(const Part& part) {
  if (open_.parts.empty()) {
    open_.offset = at_;
  }
  Part* last = open_.parts.empty() ? nullptr : &open_.parts.back();
  if (last != nullptr && last->coding == kPartCopy && part.coding == kPartCopy &&
      last->base_offset + last->length == part.base_offset) {
    last->length += part.length;
  } else {
    open_.parts.push_back(part);
  }
  open_.length += part.length;
  at_ += part.length;
  if (part.coding != kPartBytes) {
    base_at_ = part.base_offset + part.length;
  }
}

void Planner::copy(std::uint64_t base_offset, std::uint64_t length) {
  if (!open_.parts.empty() && length < kSmallCopy && open_.length + length <= kSegmentBytes &&
      open_.parts.size() < kPartsPerSegment) {
    add_part({kPartCopy, length, base_offset});
    return;
  }
  flush();
  if (!segments_.empty()) {
    PlannedSegment& last = segments_.back();
    if (last.kind == SegmentKind::kCopy && last.base_offset + last.length == base_offset) {
      last.length += length;
      at_ += length;
      base_at_ = base_offset + length;
      return;
    }
  }
  segments_.push_back(
      {.kind = SegmentKind::kCopy, .offset = at_, .length = length, .base_offset = base_offset});
  at_ += length;
  base_at_ = base_offset + length;
}

void Planner::predict(std::uint8_t coding, std::uint64_t base_offset, std::uint64_t length) {
  if (open_.length + length > kSegmentBytes || open_.parts.size() >= kPartsPerSegment) {
    flush();
  }
  add_part({coding, length, base_offset});
}

void Planner::pack(std::uint64_t length, std::uint64_t base_offset, std::uint64_t base_length) {
  flush();
  for (std::uint64_t done = 0; done < length;) {
    const std::uint64_t step = std::min(kSegmentBytes, length - done);
    segments_.push_back({.kind = SegmentKind::kPacked,
                         .offset = at_,
                         .length = step,
                         .base_offset = base_offset,
                         .base_length = std::min(base_length, kMaxPrefix)});
    at_ += step;
    done += step;
  }
  if (base_length != 0) {
    base_at_ = base_offset + length;
  }
}

}  // namespace

Result<std::vector<PlannedSegment>> plan_delta(File& base,
                                               std::uint64_t base_size,
                                               File& target,
                                               std::uint64_t target_size,
                                               const CancelFlag* cancel) {
  return Planner{base, base_size, target, target_size, cancel}.run();
}

}  // namespace skerry::registry::delta
