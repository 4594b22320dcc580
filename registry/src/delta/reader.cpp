// Reading a delta: header and directory at once, segments as they are wanted.

#include <algorithm>
#include <optional>

#include "skerry/registry/delta.hpp"

#include "../on_threads.hpp"
#include "container.hpp"
#include "decode.hpp"
#include "packing.hpp"
#include "segment_coder.hpp"

namespace skerry::registry {
namespace delta {

Result<void> decode(File& delta,
                    File& base,
                    std::uint64_t base_size,
                    const Segment& segment,
                    std::span<std::uint8_t> out) {
  if (segment.kind == SegmentKind::kStored) {
    return read_exactly(delta, segment.payload_offset, out);
  }
  Bytes payload(static_cast<std::size_t>(segment.payload_length));
  if (auto ok = read_exactly(delta, segment.payload_offset, payload); !ok) {
    return ok;
  }
  if (segment.kind == SegmentKind::kPredicted) {
    return decode_segment(base, base_size, payload, out);
  }
  Bytes dictionary(static_cast<std::size_t>(segment.base_length));
  if (auto ok = read_exactly(base, segment.base_offset, dictionary); !ok) {
    return ok;
  }
  return unpack_bytes(payload, dictionary, out);
}

}  // namespace delta

namespace {

constexpr std::uint64_t kCopyStep = 1U << 20U;
constexpr unsigned kMaxDecoders = 8;

Error delta_cancelled() {
  return {Error::Code::kCancelled, "reading the delta was cancelled"};
}

}  // namespace

struct DeltaReader::Impl {
  File& delta;
  File& base;
  delta::Directory directory;
  DeltaSummary summary;

  using Wanted = std::span<const delta::Segment>;
  Result<void> copy(const delta::Segment& segment,
                    std::uint64_t begin,
                    std::uint64_t end,
                    ByteSink& sink,
                    const CancelFlag& cancel) const;
  // The segments from `first` on that are decoded together: up to `threads` of them, none a copy.
  [[nodiscard]] static std::size_t group_size(Wanted segments, std::size_t first, unsigned threads);
  Result<void> decode_group(Wanted group,
                            std::uint64_t begin,
                            std::uint64_t end,
                            ByteSink& sink) const;
};

Result<void> DeltaReader::Impl::copy(const delta::Segment& segment,
                                     std::uint64_t begin,
                                     std::uint64_t end,
                                     ByteSink& sink,
                                     const CancelFlag& cancel) const {
  std::uint64_t at = std::max(begin, segment.offset);
  const std::uint64_t stop = std::min(end, segment.offset + segment.length);
  Bytes bytes;
  while (at < stop) {
    if (cancel.cancelled()) {
      return delta_cancelled();
    }
    bytes.resize(static_cast<std::size_t>(std::min(kCopyStep, stop - at)));
    if (auto ok = delta::read_exactly(base, segment.base_offset + at - segment.offset, bytes);
        !ok) {
      return ok.error().with_context("delta base");
    }
    if (auto ok = sink.write(bytes); !ok) {
      return ok;
    }
    at += bytes.size();
  }
  return {};
}

std::size_t DeltaReader::Impl::group_size(Wanted segments, std::size_t first, unsigned threads) {
  std::size_t count = 0;
  while (count < threads && first + count < segments.size() &&
         segments[first + count].kind != delta::SegmentKind::kCopy) {
    ++count;
  }
  return count;
}

Result<void> DeltaReader::Impl::decode_group(Wanted group,
                                             std::uint64_t begin,
                                             std::uint64_t end,
                                             ByteSink& sink) const {
  std::vector<Bytes> outputs(group.size());
  std::vector<std::optional<Error>> errors(group.size());
  on_threads(group.size(), [&](std::size_t i) {
    outputs[i].resize(static_cast<std::size_t>(group[i].length));
    if (auto ok = delta::decode(delta, base, directory.header.base_size, group[i], outputs[i]);
        !ok) {
      errors[i] = ok.error();
    }
  });
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (errors[i]) {
      return errors[i]->with_context("target bytes from " + std::to_string(group[i].offset));
    }
    const std::uint64_t from = std::max(begin, group[i].offset) - group[i].offset;
    const std::uint64_t to = std::min(end, group[i].offset + group[i].length) - group[i].offset;
    const ByteView wanted = ByteView{outputs[i]}.subspan(static_cast<std::size_t>(from),
                                                         static_cast<std::size_t>(to - from));
    if (auto ok = sink.write(wanted); !ok) {
      return ok;
    }
  }
  return {};
}

namespace {

Result<DeltaSummary> summarize(File& delta, const delta::Directory& directory) {
  const auto status = delta.status();
  if (!status) {
    return status.error().with_context("delta");
  }
  DeltaSummary summary{.header = directory.header,
                       .delta_bytes = status->size,
                       .segments = directory.segments.size()};
  for (const auto& segment : directory.segments) {
    delta::count(summary, segment);
  }
  return summary;
}

}  // namespace

Result<DeltaSummary> inspect_delta(File& delta) {
  const auto directory = delta::read_directory(delta);
  if (!directory) {
    return directory.error();
  }
  return summarize(delta, *directory);
}

Result<std::unique_ptr<DeltaReader>> DeltaReader::open(File& delta, File& base) {
  auto directory = delta::read_directory(delta);
  if (!directory) {
    return directory.error();
  }
  const auto status = base.status();
  if (!status) {
    return status.error().with_context("delta base");
  }
  if (status->size != directory->header.base_size) {
    return Error{Error::Code::kFailedPrecondition,
                 "delta: it was made from a file of " +
                     std::to_string(directory->header.base_size) + " bytes, the base has " +
                     std::to_string(status->size)};
  }
  const auto summary = summarize(delta, *directory);
  if (!summary) {
    return summary.error();
  }
  return std::unique_ptr<DeltaReader>{new DeltaReader{
      std::unique_ptr<Impl>{new Impl{delta, base, std::move(*directory), *summary}}}};
}

DeltaReader::DeltaReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DeltaReader::~DeltaReader() = default;

const DeltaSummary& DeltaReader::summary() const {
  return impl_->summary;
}

Result<void> DeltaReader::read(std::uint64_t offset,
                               std::uint64_t length,
                               ByteSink& sink,
                               const CancelFlag& cancel,
                               unsigned threads) const {
  const auto size = impl_->directory.header.target_size;
  if (offset > size || length > size - offset) {
    return Error{Error::Code::kInvalidArgument, "delta: a range beyond the target"};
  }
  const Impl::Wanted segments{impl_->directory.segments};
  const std::uint64_t end = offset + length;
  auto next = static_cast<std::size_t>(
      std::upper_bound(segments.begin(),
                       segments.end(),
                       offset,
                       [](std::uint64_t at, const auto& segment) { return at < segment.offset; }) -
      segments.begin());
  next = next == 0 ? 0 : next - 1;
  while (next < segments.size() && segments[next].offset < end) {
    if (cancel.cancelled()) {
      return delta_cancelled();
    }
    const std::size_t last =
        static_cast<std::size_t>(std::lower_bound(segments.begin(),
                                                  segments.end(),
                                                  end,
                                                  [](const auto& segment, std::uint64_t at) {
                                                    return segment.offset < at;
                                                  }) -
                                 segments.begin());
    const std::size_t group = std::min(
        last - next, Impl::group_size(segments, next, std::clamp(threads, 1U, kMaxDecoders)));
    auto done = group == 0 ? impl_->copy(segments[next], offset, end, sink, cancel)
                           : impl_->decode_group(segments.subspan(next, group), offset, end, sink);
    if (!done) {
      return done;
    }
    next += std::max<std::size_t>(group, 1);
  }
  return {};
}

Result<void> DeltaSource::read(const BlobRange& range, ByteSink& sink, const CancelFlag& cancel) {
  if (range.digest != reader_.summary().header.target) {
    return Error{Error::Code::kNotFound, "the delta makes another blob"};
  }
  return reader_.read(range.offset, range.length, sink, cancel, threads_);
}

}  // namespace skerry::registry
