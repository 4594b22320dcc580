#include "prefix_file.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <sys/mman.h>

#include "skerry/security/chunked_encryption.hpp"

namespace skerry::agent {
namespace {

using security::ChunkedMessage;

constexpr std::string_view kContext = "skerry prefix state v1";
constexpr std::string_view kMark = "SKPF";
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kPinnedVersion = 2;
constexpr std::size_t kFixedBytes = 4 + 4 + Digest::kSize + 8 + 4 + 8 + 4 + 4;
// Chunks that are sealed or opened with one call of the file.
constexpr std::size_t kSlab = 64;
constexpr int kAllSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

Error not_ours(std::string_view what) {
  return Error{Error::Code::kParse, "state of a prefix: " + std::string{what}};
}

template <class Number>
void put(Bytes& out, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i) {
    out.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
}

template <class Number>
Number get(ByteView& in) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value |= static_cast<std::uint64_t>(in[i]) << (8 * i);
  }
  in = in.subspan(sizeof(Number));
  return static_cast<Number>(value);
}

std::uint64_t head_chunks(std::size_t format, std::size_t names) {
  const std::uint64_t bytes = kFixedBytes + format + names * Digest::kSize;
  return (bytes + ChunkedMessage::kChunk - 1) / ChunkedMessage::kChunk;
}

std::uint64_t head_chunks(const ShelvedState& state) {
  return head_chunks(state.format.size(), state.names.size());
}

Bytes head_of(const ShelvedState& state) {
  Bytes head;
  const auto append = [&head](ByteView part) { head.insert(head.end(), part.begin(), part.end()); };
  append(as_bytes(kMark));
  put(head, state.pinned ? kPinnedVersion : kVersion);
  append(state.model.bytes());
  put(head, static_cast<std::uint64_t>(state.recompute.count()));
  put(head, state.tokens);
  put(head, state.bytes);
  put(head, static_cast<std::uint32_t>(state.format.size()));
  put(head, static_cast<std::uint32_t>(state.names.size()));
  append(as_bytes(state.format));
  for (const Digest& name : state.names) {
    append(name.bytes());
  }
  head.resize(head_chunks(state) * ChunkedMessage::kChunk);
  return head;
}

// Chunks [first, first + count) of a message, opened; `plain` says how long they are.
Result<void> open_chunks(File& file,
                         const ChunkedMessage& message,
                         std::uint64_t first,
                         std::span<std::uint8_t> plain,
                         Bytes& sealed) {
  const std::size_t count = (plain.size() + ChunkedMessage::kChunk - 1) / ChunkedMessage::kChunk;
  sealed.resize(plain.size() + count * ChunkedMessage::kTag);
  const auto got = file.read_at(ChunkedMessage::offset_of(first), sealed);
  if (!got) {
    return got.error();
  }
  if (*got != sealed.size()) {
    return Error{Error::Code::kSizeMismatch, "state of a prefix: the file was cut"};
  }
  return message.unseal(first, sealed, plain);
}

Result<void> seal_chunks(
    File& file, const ChunkedMessage& message, std::uint64_t first, ByteView plain, Bytes& sealed) {
  const std::size_t count = std::max<std::size_t>(
      1, (plain.size() + ChunkedMessage::kChunk - 1) / ChunkedMessage::kChunk);
  sealed.resize(plain.size() + count * ChunkedMessage::kTag);
  if (auto done = message.seal(first, plain, sealed); !done) {
    return done;
  }
  return file.write_at(ChunkedMessage::offset_of(first), sealed);
}

Result<ChunkedMessage> open_message(File& file, ByteView key) {
  ChunkedMessage::Header header{};
  const auto got = file.read_at(0, header);
  if (!got) {
    return got.error();
  }
  return ChunkedMessage::open(key, ByteView{header}.first(*got), as_bytes(kContext));
}

Result<void> parse_names(ByteView in, std::size_t format, std::size_t names, ShelvedState& state) {
  state.format = std::string{as_text(in.first(format))};
  in = in.subspan(format);
  for (std::size_t i = 0; i < names; ++i) {
    const auto name = Digest::from_bytes(in.subspan(i * Digest::kSize, Digest::kSize));
    if (!name) {
      return name.error();
    }
    state.names.push_back(*name);
  }
  return {};
}

Result<ShelvedState> read_head(File& file, const ChunkedMessage& message) {
  Bytes sealed;
  Bytes head(ChunkedMessage::kChunk);
  if (auto opened = open_chunks(file, message, 0, head, sealed); !opened) {
    return opened.error();
  }
  ByteView in{head};
  if (as_text(in.first(kMark.size())) != kMark) {
    return not_ours("it has no mark");
  }
  in = in.subspan(kMark.size());
  ShelvedState state;
  const auto version = get<std::uint32_t>(in);
  if (version != kVersion && version != kPinnedVersion) {
    return not_ours("it is of another version");
  }
  state.pinned = version == kPinnedVersion;
  const auto model = Digest::from_bytes(in.first(Digest::kSize));
  if (!model) {
    return model.error();
  }
  in = in.subspan(Digest::kSize);
  state.model = *model;
  constexpr std::uint64_t kLongest = std::uint64_t{1} << 60U;
  state.recompute = std::chrono::nanoseconds{
      static_cast<std::int64_t>(std::min(get<std::uint64_t>(in), kLongest))};
  state.tokens = get<std::uint32_t>(in);
  state.bytes = get<std::uint64_t>(in);
  const std::size_t format = get<std::uint32_t>(in);
  const std::size_t names = get<std::uint32_t>(in);
  if (names == 0 || names > kMaxPrefixNames || format > kMaxPrefixFormat ||
      state.tokens % names != 0 || state.tokens == 0 || state.bytes == 0 ||
      state.bytes > (std::uint64_t{1} << 40U)) {
    return not_ours("its head makes no sense");
  }
  head.resize(head_chunks(format, names) * ChunkedMessage::kChunk);
  const auto rest = std::span{head}.subspan(ChunkedMessage::kChunk);
  if (!rest.empty()) {
    if (auto opened = open_chunks(file, message, 1, rest, sealed); !opened) {
      return opened.error();
    }
  }
  if (auto parsed = parse_names(ByteView{head}.subspan(kFixedBytes), format, names, state);
      !parsed) {
    return parsed.error();
  }
  state.file_bytes = prefix_file_size(state);
  const auto status = file.status();
  if (!status) {
    return status.error();
  }
  if (status->size != state.file_bytes) {
    return Error{Error::Code::kSizeMismatch, "state of a prefix: the file was cut"};
  }
  return state;
}

Error no_memory() {
  return Error{Error::Code::kOutOfMemory, "there is no memory for the state of a prefix"};
}

// Pages of a descriptor that can be written while it lives.
class Pages {
 public:
  Pages(int fd, std::size_t size)
      : size_(size), at_(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)) {}
  ~Pages() {
    if (*this) {
      ::munmap(at_, size_);
    }
  }
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  explicit operator bool() const { return at_ != MAP_FAILED; }
  [[nodiscard]] std::span<std::uint8_t> bytes() const {
    return {static_cast<std::uint8_t*>(at_), size_};
  }

 private:
  std::size_t size_;
  void* at_;
};

}  // namespace

std::uint64_t prefix_file_size(const ShelvedState& state) {
  return ChunkedMessage::sealed_size(head_chunks(state) * ChunkedMessage::kChunk + state.bytes);
}

Result<void> write_prefix(File& file, ByteView key, const ShelvedState& state, int bytes) {
  auto message = ChunkedMessage::create(key, as_bytes(kContext));
  if (!message) {
    return message.error();
  }
  if (auto done = file.write_at(0, message->header()); !done) {
    return done;
  }
  Bytes sealed;
  if (auto done = seal_chunks(file, *message, 0, head_of(state), sealed); !done) {
    return done;
  }
  const std::uint64_t first = head_chunks(state);
  Bytes plain(kSlab * ChunkedMessage::kChunk);
  // To the shorter chunk that ends a message, which may be empty.
  for (std::uint64_t at = 0; at <= state.bytes; at += plain.size()) {
    const auto wanted = std::min<std::uint64_t>(plain.size(), state.bytes - at);
    for (std::size_t have = 0; have < wanted;) {
      const ssize_t got =
          ::pread(bytes, plain.data() + have, wanted - have, static_cast<off_t>(at + have));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0) {
        return Error{Error::Code::kSizeMismatch, "a worker's state of a prefix is too short"};
      }
      have += static_cast<std::size_t>(got);
    }
    const ByteView piece{plain.data(), static_cast<std::size_t>(wanted)};
    const bool ends_whole =
        wanted > 0 && wanted < plain.size() && wanted % ChunkedMessage::kChunk == 0;
    const std::uint64_t chunk = first + at / ChunkedMessage::kChunk;
    if (auto done = seal_chunks(file, *message, chunk, piece, sealed); !done) {
      return done;
    }
    if (ends_whole) {
      return seal_chunks(file, *message, chunk + wanted / ChunkedMessage::kChunk, {}, sealed);
    }
  }
  return {};
}

Result<ShelvedState> read_prefix_head(File& file, ByteView key) {
  const auto message = open_message(file, key);
  return message ? read_head(file, *message) : Result<ShelvedState>{message.error()};
}

Result<UniqueFd> read_prefix(File& file, ByteView key, const ShelvedState& state) {
  const auto message = open_message(file, key);
  if (!message) {
    return message.error();
  }
  const auto head = read_head(file, *message);
  if (!head) {
    return head.error();
  }
  if (head->model != state.model || head->format != state.format || head->names != state.names ||
      head->tokens != state.tokens || head->bytes != state.bytes) {
    return Error{Error::Code::kDigestMismatch, "state of a prefix: the file is another one's"};
  }
  UniqueFd fd{::memfd_create("skerry-prefix", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(state.bytes)) != 0) {
    return no_memory();
  }
  {
    const Pages pages{fd.get(), static_cast<std::size_t>(state.bytes)};
    if (!pages) {
      return no_memory();
    }
    const std::uint64_t first = head_chunks(state);
    Bytes sealed;
    for (std::size_t at = 0; at < state.bytes; at += kSlab * ChunkedMessage::kChunk) {
      const auto plain = pages.bytes().subspan(
          at, std::min<std::size_t>(kSlab * ChunkedMessage::kChunk, pages.bytes().size() - at));
      if (auto opened =
              open_chunks(file, *message, first + at / ChunkedMessage::kChunk, plain, sealed);
          !opened) {
        return opened.error();
      }
    }
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, kAllSeals) != 0) {
    return no_memory();
  }
  return fd;
}

}  // namespace skerry::agent
