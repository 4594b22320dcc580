#include "disk_shelf.hpp"

#include <cstdlib>

#include "bench_worker.hpp"
#include "models/prefix_store.hpp"

namespace skerry::bench {
namespace {

constexpr std::uint64_t kBudget = 1ULL << 30U;
constexpr std::uint64_t kLargest = 128ULL << 20U;

}  // namespace

DiskShelf::DiskShelf() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "skerry-bench-prefixes-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) {
    give_up("cannot make a folder for prefixes");
  }
  folder_ = pattern;
  reopen();
}

DiskShelf::~DiskShelf() {
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void DiskShelf::reopen() {
  agent::PrefixStore::Options options;
  options.folder = folder_;
  options.budget = kBudget;
  options.key = Bytes(32, 1);
  store_ = std::make_unique<agent::PrefixStore>(fs_, clock_, Log{}, std::move(options));
  store_->open();
}

std::uint64_t DiskShelf::saved() const {
  return store_->counts().saved;
}

std::uint64_t DiskShelf::hits() const {
  return store_->counts().hits;
}

std::uint64_t DiskShelf::largest() const {
  return kLargest;
}

Task<void> DiskShelf::save(Digest model, runtime::PrefixState state, runtime::PrefixBytes bytes) {
  store_->save(model, state, bytes);
  co_return;
}

Task<std::optional<runtime::PrefixShelf::Found>> DiskShelf::find(Digest model,
                                                                 std::string format,
                                                                 std::vector<Digest> names) {
  std::optional<Found> found;
  const auto match = store_->look(model, format, names);
  if (match) {
    found = store_->read(*match);
  }
  co_return found;
}

void DiskShelf::drop(const Digest& model, const Digest& name) {
  store_->drop(model, name);
}

}  // namespace skerry::bench
