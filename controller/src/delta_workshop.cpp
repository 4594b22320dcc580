#include "skerry/controller/delta_workshop.hpp"

#include <algorithm>
#include <optional>
#include <unistd.h>
#include <utility>

#include <sys/resource.h>
#include <sys/syscall.h>

#include "skerry/common/json.hpp"
#include "skerry/registry/chunk_index.hpp"
#include "skerry/registry/delta.hpp"

namespace skerry::controller {
namespace {

constexpr std::size_t kMaxOrders = 16;
constexpr std::size_t kMaxPairs = 4096;
constexpr std::size_t kMaxRecord = 4096;
constexpr int kDeltaNiceness = 10;
// Below this a round trip costs more than the bytes.
constexpr std::uint64_t kSmallestTarget = 256U << 10U;

// From base to target.
using Pair = std::pair<Digest, Digest>;

std::string record_name(const Pair& pair) {
  return pair.first.hex() + "-" + pair.second.hex() + ".json";
}

std::optional<Pair> parse_record_name(std::string_view name) {
  constexpr std::size_t kHex = 2 * Digest::kSize;
  if (name.size() != 2 * kHex + 6 || name[kHex] != '-' || !name.ends_with(".json")) {
    return std::nullopt;
  }
  const auto base = Digest::from_hex(name.substr(0, kHex));
  const auto target = Digest::from_hex(name.substr(kHex + 1, kHex));
  return base && target ? std::optional{Pair{*base, *target}} : std::nullopt;
}

// What is known of a pair; without `kept` there is no delta worth having.
struct Known {
  std::optional<KeptDelta> kept;
  std::uint64_t used = 0;
};

std::string to_record(const Known& known) {
  if (!known.kept) {
    return Json{Json::Object{{"none", true}}}.dump();
  }
  return Json{Json::Object{{"delta", known.kept->delta.to_string()},
                           {"size", known.kept->size},
                           {"chunk_size", known.kept->chunk_size},
                           {"chunks", known.kept->chunks.to_string()}}}
      .dump();
}

Result<Known> from_record(const Pair& pair, std::string_view text) {
  const auto json = Json::parse(text);
  if (!json) {
    return json.error();
  }
  Known known;
  if (json->find("none") != nullptr) {
    return known;
  }
  const auto delta = json->get_string("delta");
  const auto size = json->get_int("size");
  const auto chunk_size = json->get_int("chunk_size");
  const auto chunks = json->get_string("chunks");
  if (!delta || !size || !chunk_size || !chunks) {
    return Error{Error::Code::kParse, "a delta's record is incomplete"};
  }
  const auto delta_digest = Digest::parse(*delta);
  const auto chunks_digest = Digest::parse(*chunks);
  if (!delta_digest || !chunks_digest || *size <= 0 ||
      !registry::check_chunking(static_cast<std::uint64_t>(*size),
                                static_cast<std::uint64_t>(*chunk_size))) {
    return Error{Error::Code::kParse, "a delta's record holds an impossible value"};
  }
  known.kept = KeptDelta{pair.first,
                         *delta_digest,
                         static_cast<std::uint64_t>(*size),
                         static_cast<std::uint32_t>(*chunk_size),
                         *chunks_digest};
  return known;
}

}  // namespace

struct DeltaWorkshop::Impl {
  FileSystem& fs;
  std::filesystem::path directory;
  const BlobVault& blobs;
  std::uint64_t cache;
  Log log;
  std::unique_ptr<BlobVault> vault;

  std::mutex mutex;
  std::condition_variable ordered;
  std::map<Pair, Known> known;
  std::deque<Pair> orders;
  std::optional<Pair> in_work;
  std::uint64_t uses = 0;
  bool stopping = false;
  registry::CancelFlag cancel;
  std::thread thread;

  Impl(FileSystem& f, std::filesystem::path d, const BlobVault& b, std::uint64_t c, Log l)
      : fs(f), directory(std::move(d)), blobs(b), cache(c), log(std::move(l)) {}

  [[nodiscard]] std::filesystem::path record_path(const Pair& pair) const {
    return directory / "pairs" / record_name(pair);
  }
  Result<void> load();
  void work();
  Result<KeptDelta> make(const Pair& pair);
  Result<KeptDelta> store(const Pair& pair, const std::filesystem::path& made);
  void remember(const Pair& pair, Known fact);
  void drop_oldest();
  void forget(const Pair& pair);
};

Result<void> DeltaWorkshop::Impl::load() {
  if (auto made = fs.create_directories(directory / "pairs"); !made) {
    return made;
  }
  const auto names = fs.list(directory / "pairs");
  if (!names) {
    return names.error();
  }
  for (const std::string& name : *names) {
    const auto pair = parse_record_name(name);
    const auto text = read_file(fs, directory / "pairs" / name, kMaxRecord);
    auto fact = pair && text ? from_record(*pair, *text)
                             : Result<Known>{Error{Error::Code::kParse, "an unreadable record"}};
    if (fact && fact->kept && !vault->has(fact->kept->delta)) {
      fact = Error{Error::Code::kNotFound, "the delta is gone"};
    }
    if (fact) {
      known.emplace(*pair, *fact);
    } else if (auto removed = fs.remove(directory / "pairs" / name); !removed) {
      return removed;
    }
  }
  return {};
}

void DeltaWorkshop::Impl::forget(const Pair& pair) {
  const auto found = known.find(pair);
  if (found == known.end()) {
    return;
  }
  // The record first: a delta without one is only space.
  for (const auto& removed :
       {fs.remove(record_path(pair)),
        found->second.kept ? vault->remove(found->second.kept->delta) : Result<void>{},
        found->second.kept && found->second.kept->chunks != found->second.kept->delta
            ? vault->remove(found->second.kept->chunks)
            : Result<void>{}}) {
    if (!removed && removed.error().code() != Error::Code::kNotFound) {
      log.warning("delta.not_removed", removed.error());
    }
  }
  known.erase(found);
}

void DeltaWorkshop::Impl::drop_oldest() {
  for (;;) {
    std::uint64_t bytes = 0;
    const Pair* oldest = nullptr;
    std::uint64_t least = 0;
    for (const auto& [pair, fact] : known) {
      bytes += fact.kept ? fact.kept->size : 0;
      const bool counts = fact.kept.has_value() || known.size() > kMaxPairs;
      if (counts && (oldest == nullptr || fact.used < least)) {
        oldest = &pair;
        least = fact.used;
      }
    }
    if (oldest == nullptr || (bytes <= cache && known.size() <= kMaxPairs)) {
      return;
    }
    forget(Pair{*oldest});
  }
}

void DeltaWorkshop::Impl::remember(const Pair& pair, Known fact) {
  if (auto kept = write_file_atomic(fs, record_path(pair), to_record(fact), 0600); !kept) {
    log.warning("delta.not_recorded", kept.error());
  }
  const std::lock_guard lock{mutex};
  fact.used = ++uses;
  known.insert_or_assign(pair, fact);
  drop_oldest();
}

Result<KeptDelta> DeltaWorkshop::Impl::store(const Pair& pair, const std::filesystem::path& made) {
  auto hashed = registry::hash_file(fs, made);
  if (!hashed) {
    return hashed.error();
  }
  const auto status = fs.status(made);
  if (!status) {
    return status.error();
  }
  KeptDelta kept{
      pair.first, hashed->digest, status->size, hashed->index.chunk_size(), hashed->index.digest()};
  if (hashed->index.count() > 1) {
    const Bytes index = hashed->index.serialise();
    if (auto put = vault->put(as_text(index)); !put) {
      return put.error();
    }
  }
  if (auto adopted = vault->adopt(made, hashed->digest); !adopted) {
    return adopted.error();
  }
  return kept;
}

Result<KeptDelta> DeltaWorkshop::Impl::make(const Pair& pair) {
  auto base = blobs.open_file(pair.first);
  if (!base) {
    return base.error();
  }
  auto target = blobs.open_file(pair.second);
  if (!target) {
    return target.error();
  }
  const auto base_status = (*base)->status();
  const auto target_status = (*target)->status();
  if (!base_status || !target_status) {
    return base_status ? target_status.error() : base_status.error();
  }
  const auto path = directory / "staging" / "delta";
  if (auto removed = fs.remove(path);
      !removed && removed.error().code() != Error::Code::kNotFound) {
    return removed.error();
  }
  auto out = fs.open(path, OpenMode::kCreateExclusive, 0600);
  if (!out) {
    return out.error();
  }
  const auto made = registry::make_delta(
      **base,
      **target,
      {pair.first, base_status->size, pair.second, target_status->size},
      **out,
      {.largest = std::min(target_status->size / 10 * 9, cache), .cancel = &cancel});
  if (!made) {
    return made.error();
  }
  out->reset();
  log.info("delta.made",
           {{"base", pair.first.to_string()},
            {"target", pair.second.to_string()},
            {"target_bytes", target_status->size},
            {"delta_bytes", made->delta_bytes}});
  return store(pair, path);
}

void DeltaWorkshop::Impl::work() {
  // Devices that wait for their streams come first.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kDeltaNiceness);
  std::unique_lock lock{mutex};
  for (;;) {
    ordered.wait(lock, [this] { return stopping || !orders.empty(); });
    if (stopping) {
      return;
    }
    const Pair pair = orders.front();
    orders.pop_front();
    in_work = pair;
    lock.unlock();
    auto made = make(pair);
    if (made) {
      remember(pair, {.kept = *made});
    } else if (made.error().code() != Error::Code::kCancelled) {
      log.info("delta.none",
               {{"base", pair.first.to_string()},
                {"target", pair.second.to_string()},
                {"error", made.error().to_string()}});
      remember(pair, {});
    }
    lock.lock();
    in_work.reset();
  }
}

DeltaWorkshop::DeltaWorkshop(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

DeltaWorkshop::~DeltaWorkshop() {
  {
    const std::lock_guard lock{impl_->mutex};
    impl_->stopping = true;
  }
  impl_->cancel.cancel();
  impl_->ordered.notify_all();
  if (impl_->thread.joinable()) {
    impl_->thread.join();
  }
}

Result<std::unique_ptr<DeltaWorkshop>> DeltaWorkshop::open(FileSystem& fs,
                                                           const std::filesystem::path& directory,
                                                           const BlobVault& blobs,
                                                           std::uint64_t cache,
                                                           Log log) {
  auto impl = std::make_unique<Impl>(fs, directory, blobs, cache, std::move(log));
  auto vault = BlobVault::open(fs, directory, UINT64_MAX >> 1U);
  if (!vault) {
    return vault.error().with_context("the store of deltas");
  }
  impl->vault = std::move(*vault);
  if (auto loaded = impl->load(); !loaded) {
    return loaded.error().with_context("the store of deltas");
  }
  impl->drop_oldest();
  if (cache != 0) {
    impl->thread = std::thread{[raw = impl.get()] { raw->work(); }};
  }
  return std::unique_ptr<DeltaWorkshop>{new DeltaWorkshop{std::move(impl)}};
}

const BlobVault& DeltaWorkshop::vault() const {
  return *impl_->vault;
}

DeltaAnswer DeltaWorkshop::find(const Digest& target, std::span<const Digest> held) {
  const std::lock_guard lock{impl_->mutex};
  std::optional<Pair> order;
  bool pending = false;
  for (const Digest& base : held) {
    const Pair pair{base, target};
    const auto found = impl_->known.find(pair);
    if (found != impl_->known.end() && found->second.kept) {
      found->second.used = ++impl_->uses;
      return {DeltaAnswer::State::kReady, *found->second.kept};
    }
    if (found != impl_->known.end() || base == target) {
      continue;
    }
    pending = pending || impl_->in_work == pair ||
              std::find(impl_->orders.begin(), impl_->orders.end(), pair) != impl_->orders.end();
    if (!order && impl_->blobs.has(base)) {
      order = pair;
    }
  }
  if (pending) {
    return {DeltaAnswer::State::kPending, {}};
  }
  if (!order || impl_->cache == 0 || impl_->orders.size() >= kMaxOrders) {
    return {};
  }
  const auto file = impl_->blobs.open_file(target);
  const auto status = file ? (*file)->status() : Result<FileStatus>{file.error()};
  if (!status || status->size < kSmallestTarget) {
    return {};
  }
  impl_->orders.push_back(*order);
  impl_->ordered.notify_one();
  return {DeltaAnswer::State::kPending, {}};
}

}  // namespace skerry::controller
