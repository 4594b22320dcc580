#pragma once

// Which states of prefixes the disk has, and which of them have to go: in memory, without files and
// threads, for PrefixStore. ADR 0103.
//
// A state is worth its seconds of recomputation per byte. Those that nobody asks for age without a
// clock (GreedyDual): what is used is worth its rate more than what went last, so a dear state
// stays longer than a cheap one, and not for ever. Those of pinned prompts stay while others can
// go, in half of the room at most. ADR 0114.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "skerry/common/digest.hpp"

namespace skerry::agent {

// One state and the file that has it.
struct ShelvedState {
  Digest model;
  std::string format;
  std::vector<Digest> names;  // of its blocks, from the first one on
  std::uint32_t tokens = 0;
  std::chrono::nanoseconds recompute{0};
  std::uint64_t bytes = 0;  // of the state
  std::uint64_t file_bytes = 0;
  std::string file;  // its name
  bool pinned = false;
};

class PrefixIndex {
 public:
  // A state that begins with as much of a prompt as any does.
  struct Match {
    ShelvedState state;
    std::uint32_t common = 0;  // tokens
  };
  // Names of files that are not in the index any more.
  using Files = std::vector<std::string>;

  explicit PrefixIndex(std::uint64_t budget) : budget_(budget) {}

  // Sets room aside for a state and says who goes for it. Nothing if it is not wanted: one that has
  // all of it is there, which counts as a use of that one, or it is larger than all may be
  // together, pinned ones left alone.
  std::optional<Files> reserve(const ShelvedState& state);
  // Takes in what room was set aside for; says which others it covers.
  Files commit(ShelvedState state);
  // It was not written after all.
  void abandon(const ShelvedState& state) { reserved_ -= state.file_bytes; }

  // Of the first of `names` that any state of this model and format has, the smallest. A use.
  std::optional<Match> find(const Digest& model,
                            const std::string& format,
                            const std::vector<Digest>& names);
  // Whether so many bytes more may be of pinned prompts.
  [[nodiscard]] bool may_pin(std::uint64_t file_bytes) const;
  // Those of the model that end with this block are of a pinned prompt.
  void hold(const Digest& model, const Digest& name);
  // Forgets the one in this file; true if there was one.
  bool remove(const std::string& file);
  // Forgets all of the model that have this block.
  Files remove_named(const Digest& model, const Digest& name);
  // Forgets those of models that are gone.
  Files retain(const std::function<bool(const Digest&)>& is_there);

  [[nodiscard]] std::vector<Digest> models() const;
  // Bytes of files, those being written included.
  [[nodiscard]] std::uint64_t bytes() const { return used_ + reserved_; }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  struct Pinned {
    std::size_t states = 0;
    std::size_t names = 0;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] Pinned pinned() const;

 private:
  using Id = std::uint64_t;
  struct Entry {
    ShelvedState state;
    double priority = 0;
  };
  using Entries = std::map<Id, Entry>;

  [[nodiscard]] static double rate(const ShelvedState& state);
  void use(Entry& entry) { entry.priority = age_ + rate(entry.state); }
  [[nodiscard]] const std::vector<Id>* with(const Digest& name) const;
  // Forgets the entry and gives the name of its file.
  std::string erase(Entries::iterator entry);
  template <class Doomed>
  Files erase_if(const Doomed& is_doomed);

  std::uint64_t budget_;
  std::uint64_t used_ = 0;
  std::uint64_t reserved_ = 0;
  std::size_t names_ = 0;
  double age_ = 0;
  Id last_id_ = 0;
  Entries entries_;
  std::unordered_map<Digest, std::vector<Id>> by_name_;
};

}  // namespace skerry::agent
