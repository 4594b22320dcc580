#include "prefix_shelf.hpp"

#include <algorithm>
#include <utility>

#include "skerry/async/offload.hpp"
#include "skerry/registry/store_key.hpp"

namespace skerry::agent {
namespace {

constexpr std::string_view kFolder = "prefixes";
constexpr std::string_view kKeyFile = "prefixes.key";
constexpr std::size_t kKeyBytes = 32;
// A state goes through memory twice: in the worker and sealed between the processes.
constexpr std::uint64_t kLargest = 128ULL << 20U;
// One state does not take the room of all others.
constexpr std::uint64_t kShareOfBudget = 4;

// Without storage.encryption the files are sealed all the same, so that a worker is given only what
// this daemon has written: with a key of their own, readable by nobody else.
Result<Bytes> own_key(Core& core, const std::filesystem::path& path) {
  const auto text = read_file(core.fs, path, kKeyBytes);
  if (text && text->size() == kKeyBytes) {
    const ByteView bytes = as_bytes(*text);
    return Bytes{bytes.begin(), bytes.end()};
  }
  if (!text && text.error().code() != Error::Code::kNotFound &&
      text.error().code() != Error::Code::kTooLarge) {
    return text.error();
  }
  Bytes key(kKeyBytes);
  core.random.fill(key);
  if (auto written = write_file_atomic(core.fs, path, as_text(key), 0600); !written) {
    return written.error();
  }
  return key;
}

Result<Bytes> open_key(Core& core, const registry::StoreKey* store_key) {
  const std::filesystem::path path = core.settings->state_dir() / "keys" / kKeyFile;
  if (store_key == nullptr) {
    return own_key(core, path);
  }
  // What it vouched for is not to be read any more.
  if (core.fs.exists(path)) {
    static_cast<void>(core.fs.remove(path));
  }
  const ByteView bytes = store_key->bytes();
  return Bytes{bytes.begin(), bytes.end()};
}

}  // namespace

DiskPrefixShelf::DiskPrefixShelf(Core& core,
                                 registry::BlobStore& store,
                                 const registry::StoreKey* store_key)
    : core_(core),
      blobs_(store),
      folder_(core.settings->state_dir() / kFolder),
      changed_(core.control) {
  const std::uint64_t budget =
      core.settings->runtime().prefix_cache ? core.settings->runtime().prefix_cache_disk.bytes : 0;
  if (budget == 0) {
    return;
  }
  auto key = open_key(core, store_key);
  if (!key) {
    core.log.warning("prefix_cache.disk_off", key.error());
    return;
  }
  PrefixStore::Options options;
  options.folder = folder_;
  options.budget = budget;
  options.reserve = core.settings->activation().disk_reserve.bytes;
  options.key = *std::move(key);
  store_ = std::make_unique<PrefixStore>(core.fs, core.clock, core.log, std::move(options));
}

std::uint64_t DiskPrefixShelf::largest() const {
  return store_ ? std::min(kLargest, store_->budget() / kShareOfBudget) : 0;
}

Task<void> DiskPrefixShelf::open() {
  if (store_) {
    auto read = [this] { store_->open(); };
    co_await async::offload(core_.disk, std::move(read));
  } else {
    auto remove = [this] { PrefixStore::remove_all(core_.fs, folder_); };
    co_await async::offload(core_.disk, std::move(remove));
  }
  opened_ = true;
  changed_.notify();
  co_await retain();
}

Task<void> DiskPrefixShelf::retain() {
  if (!store_) {
    co_return;
  }
  auto look = [this] {
    store_->retain([this](const Digest& model) {
      const Result<bool> there = blobs_.contains(model);
      return !there || *there;
    });
  };
  co_await async::offload(core_.disk, std::move(look));
}

void DiskPrefixShelf::models_changed() {
  if (opened_) {
    core_.tasks.spawn("prefixes.retain", retain());
  }
}

Task<void> DiskPrefixShelf::save(Digest model,
                                 runtime::PrefixState state,
                                 runtime::PrefixBytes bytes) {
  while (!opened_) {
    co_await changed_.wait();
  }
  if (!store_) {
    co_return;
  }
  auto write = [this, model, state = std::move(state), bytes = std::move(bytes)] {
    store_->save(model, state, bytes);
  };
  co_await async::offload(core_.disk, std::move(write));
}

Task<std::optional<runtime::PrefixShelf::Found>> DiskPrefixShelf::find(Digest model,
                                                                       std::string format,
                                                                       std::vector<Digest> names) {
  while (!opened_) {
    co_await changed_.wait();
  }
  std::optional<PrefixIndex::Match> match;
  if (store_) {
    match = store_->look(model, format, names);
  }
  if (!match) {
    co_return std::nullopt;
  }
  auto read = [this, match = *std::move(match)] { return store_->read(match); };
  std::optional<Found> found = co_await async::offload(core_.disk, std::move(read));
  co_return found;
}

void DiskPrefixShelf::hold(const Digest& model, const Digest& name) {
  if (store_) {
    store_->hold(model, name);
  }
}

void DiskPrefixShelf::drop(const Digest& model, const Digest& name) {
  if (!store_) {
    return;
  }
  auto forget = [this, model, name] { store_->drop(model, name); };
  core_.tasks.spawn("prefixes.drop", async::offload(core_.disk, std::move(forget)));
}

PrefixStore::Counts DiskPrefixShelf::counts() const {
  return store_ ? store_->counts() : PrefixStore::Counts{};
}

}  // namespace skerry::agent
