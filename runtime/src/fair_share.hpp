#pragma once

// Who has had how much of a model: start-time fair queueing over principals. Each has a virtual
// time that moves with the rows computed for it; whoever is furthest behind goes next, and somebody
// new starts level with the others, so that a pause earns no credit.

#include <cstddef>
#include <map>
#include <string>

namespace skerry::runtime {

class FairShare {
 public:
  // A row that generates costs about four prompt rows of a chunk (field notes on serving, 2.4).
  static constexpr double kGenerated = 4;

  // A request of the principal came or went; `leave` once for each `enter`.
  void enter(const std::string& principal);
  void leave(const std::string& principal);
  // It runs, holding one of the engine's sequences, or no longer does.
  void start(const std::string& principal);
  void stop(const std::string& principal);
  void charge(const std::string& principal, std::size_t generated, std::size_t prompt);

  // Smaller goes first.
  [[nodiscard]] double served(const std::string& principal) const;
  [[nodiscard]] std::size_t running(const std::string& principal) const;
  [[nodiscard]] bool knows(const std::string& principal) const {
    return accounts_.contains(principal);
  }
  // Principals that wait or run.
  [[nodiscard]] std::size_t active() const { return accounts_.size(); }

 private:
  struct Account {
    double served = 0;
    std::size_t requests = 0;
    std::size_t running = 0;
  };
  // Of those that wait or run, the one furthest behind.
  [[nodiscard]] double virtual_now() const;

  std::map<std::string, Account> accounts_;
  // Ahead of the others when its last request ended: taking a breath does not clear the debt.
  std::map<std::string, double> ahead_;
  double last_now_ = 0;
};

}  // namespace skerry::runtime
