#include "prefix_index.hpp"

#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

namespace skerry::agent {
namespace {

// Names of all states together: what the index takes of memory.
constexpr std::size_t kMostNames = 65536;
// Of the room, what pinned prompts take at most.
constexpr std::uint64_t kPinnedPart = 2;
constexpr double kMebibyte = 1024.0 * 1024.0;

}  // namespace

double PrefixIndex::rate(const ShelvedState& state) {
  const double seconds = std::chrono::duration<double>(state.recompute).count();
  return seconds / (static_cast<double>(std::max<std::uint64_t>(state.file_bytes, 1)) / kMebibyte);
}

const std::vector<PrefixIndex::Id>* PrefixIndex::with(const Digest& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &found->second;
}

std::optional<PrefixIndex::Files> PrefixIndex::reserve(const ShelvedState& state) {
  if (state.names.empty() || state.file_bytes > budget_ || state.names.size() > kMostNames) {
    return std::nullopt;
  }
  if (const auto* ids = with(state.names.back()); ids != nullptr) {
    for (const Id id : *ids) {
      Entry& entry = entries_.at(id);
      if (entry.state.model == state.model && entry.state.format == state.format &&
          (entry.state.pinned || !state.pinned)) {
        use(entry);
        return std::nullopt;
      }
    }
  }
  if (reserved_ + state.file_bytes > budget_) {
    return std::nullopt;  // what is being written just now has the room
  }
  const Pinned stay = state.pinned ? Pinned{} : pinned();
  if (stay.bytes + reserved_ + state.file_bytes > budget_ ||
      stay.names + state.names.size() > kMostNames) {
    return std::nullopt;
  }
  Files gone;
  while (!entries_.empty() &&
         (bytes() + state.file_bytes > budget_ || names_ + state.names.size() > kMostNames)) {
    const auto least =
        std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
          return std::pair(a.second.state.pinned, a.second.priority) <
                 std::pair(b.second.state.pinned, b.second.priority);
        });
    age_ = std::max(age_, least->second.priority);
    gone.push_back(erase(least));
  }
  reserved_ += state.file_bytes;
  return gone;
}

PrefixIndex::Files PrefixIndex::commit(ShelvedState state) {
  reserved_ -= state.file_bytes;
  remove(state.file);  // its file was replaced
  Files covered = erase_if([&](const ShelvedState& other) {
    return !other.pinned && other.model == state.model && other.format == state.format &&
           other.names.size() <= state.names.size() &&
           other.names.back() == state.names[other.names.size() - 1];
  });
  const Id id = ++last_id_;
  for (const Digest& name : state.names) {
    by_name_[name].push_back(id);
  }
  names_ += state.names.size();
  used_ += state.file_bytes;
  use(entries_.emplace(id, Entry{.state = std::move(state), .priority = 0}).first->second);
  return covered;
}

PrefixIndex::Pinned PrefixIndex::pinned() const {
  Pinned sum;
  for (const auto& [id, entry] : entries_) {
    if (entry.state.pinned) {
      ++sum.states;
      sum.names += entry.state.names.size();
      sum.bytes += entry.state.file_bytes;
    }
  }
  return sum;
}

bool PrefixIndex::may_pin(std::uint64_t file_bytes) const {
  return pinned().bytes + file_bytes <= budget_ / kPinnedPart;
}

void PrefixIndex::hold(const Digest& model, const Digest& name) {
  const auto* ids = with(name);
  if (ids == nullptr) {
    return;
  }
  for (const Id id : *ids) {
    ShelvedState& state = entries_.at(id).state;
    if (!state.pinned && state.model == model && state.names.back() == name &&
        may_pin(state.file_bytes)) {
      state.pinned = true;
    }
  }
}

std::optional<PrefixIndex::Match> PrefixIndex::find(const Digest& model,
                                                    const std::string& format,
                                                    const std::vector<Digest>& names) {
  for (const Digest& name : names) {
    const auto* ids = with(name);
    if (ids == nullptr) {
      continue;
    }
    Entry* best = nullptr;
    for (const Id id : *ids) {
      Entry& entry = entries_.at(id);
      if (entry.state.model == model && entry.state.format == format &&
          (best == nullptr || entry.state.bytes < best->state.bytes)) {
        best = &entry;
      }
    }
    if (best == nullptr) {
      continue;
    }
    use(*best);
    const auto& all = best->state.names;
    const auto blocks =
        static_cast<std::uint32_t>(std::find(all.begin(), all.end(), name) - all.begin()) + 1;
    const auto block = best->state.tokens / static_cast<std::uint32_t>(all.size());
    return Match{.state = best->state, .common = blocks * block};
  }
  return std::nullopt;
}

std::string PrefixIndex::erase(Entries::iterator entry) {
  const Id id = entry->first;
  const ShelvedState& state = entry->second.state;
  for (const Digest& name : state.names) {
    const auto named = by_name_.find(name);
    if (named != by_name_.end()) {
      std::erase(named->second, id);
      if (named->second.empty()) {
        by_name_.erase(named);
      }
    }
  }
  names_ -= state.names.size();
  used_ -= state.file_bytes;
  std::string file = state.file;
  entries_.erase(entry);
  return file;
}

template <class Doomed>
PrefixIndex::Files PrefixIndex::erase_if(const Doomed& is_doomed) {
  Files gone;
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (is_doomed(entry->second.state)) {
      gone.push_back(erase(entry));
    }
    entry = next;
  }
  return gone;
}

bool PrefixIndex::remove(const std::string& file) {
  return !erase_if([&](const ShelvedState& state) { return state.file == file; }).empty();
}

PrefixIndex::Files PrefixIndex::remove_named(const Digest& model, const Digest& name) {
  return erase_if([&](const ShelvedState& state) {
    return state.model == model &&
           std::find(state.names.begin(), state.names.end(), name) != state.names.end();
  });
}

std::vector<Digest> PrefixIndex::models() const {
  std::set<Digest> models;
  for (const auto& [id, entry] : entries_) {
    models.insert(entry.state.model);
  }
  return {models.begin(), models.end()};
}

PrefixIndex::Files PrefixIndex::retain(const std::function<bool(const Digest&)>& is_there) {
  return erase_if([&](const ShelvedState& state) { return !is_there(state.model); });
}

}  // namespace skerry::agent
