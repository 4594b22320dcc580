#include <cstdint>
#include <utility>

#include "skerry/runtime/text_filter.hpp"

#include "prefix_chain.hpp"
#include "wire.hpp"

namespace skerry::runtime::wire {
namespace {

// As plugin.h has it.
constexpr std::size_t kMaxFormat = 200;
constexpr std::int64_t kLongestRecompute = std::int64_t{1} << 60U;

std::string join(const std::vector<Digest>& names) {
  std::string bytes;
  bytes.reserve(names.size() * Digest::kSize);
  for (const Digest& name : names) {
    bytes += as_text(name.bytes());
  }
  return bytes;
}

Result<std::vector<Digest>> split(const std::string& bytes, std::size_t most) {
  if (bytes.empty() || bytes.size() % Digest::kSize != 0 || bytes.size() / Digest::kSize > most) {
    return malformed("list of block names");
  }
  std::vector<Digest> names;
  names.reserve(bytes.size() / Digest::kSize);
  for (std::size_t at = 0; at < bytes.size(); at += Digest::kSize) {
    auto name = Digest::from_bytes(as_bytes(bytes).subspan(at, Digest::kSize));
    if (!name) {
      return name.error();
    }
    names.push_back(*name);
  }
  return names;
}

bool is_format(const std::string& format) {
  return !format.empty() && format.size() <= kMaxFormat;
}

}  // namespace

void put_prefix(const PrefixState& state, std::uint64_t size, pb::PrefixSave& out) {
  out.set_names(join(state.names));
  out.set_tokens(state.tokens);
  out.set_format(to_valid_utf8(state.format));
  out.set_recompute_ns(state.recompute.count());
  out.set_size(size);
  out.set_pinned(state.pinned);
}

Result<SavedPrefix> parse_prefix(const pb::PrefixSave& in) {
  auto names = split(in.names(), kMostPrefixNames);
  if (!names) {
    return names.error();
  }
  if (in.tokens() != names->size() * PrefixChain::kBlock || !is_format(in.format()) ||
      in.size() == 0 || in.recompute_ns() < 0 || in.recompute_ns() > kLongestRecompute) {
    return malformed("state of a prefix");
  }
  SavedPrefix saved;
  saved.state.names = std::move(*names);
  saved.state.tokens = in.tokens();
  saved.state.format = in.format();
  saved.state.recompute = std::chrono::nanoseconds{in.recompute_ns()};
  saved.state.pinned = in.pinned();
  saved.size = in.size();
  return saved;
}

void put_question(const PrefixQuestion& question, pb::PrefixQuery& out) {
  out.set_key(question.key);
  out.set_names(join(question.names));
  out.set_format(to_valid_utf8(question.format));
  out.set_pinned(question.pinned);
}

Result<PrefixQuestion> parse_question(const pb::PrefixQuery& in) {
  auto names = split(in.names(), kMostQueryNames);
  if (!names) {
    return names.error();
  }
  if (!is_format(in.format())) {
    return malformed("format of a prefix");
  }
  return PrefixQuestion{
      .key = in.key(), .format = in.format(), .names = std::move(*names), .pinned = in.pinned()};
}

}  // namespace skerry::runtime::wire
