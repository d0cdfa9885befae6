// A cluster for threads that have no event loop.
#include "sdk/client/blocking.h"

#include <future>

#include <kj/async-io.h>

namespace flotilla::client {
namespace {

// What lies in a received message dies with its loop.
Outcome copied(Outcome&& outcome) {
  outcome.answer = Bytes::copyOf(outcome.answer.view());
  return std::move(outcome);
}

}  // namespace

struct BlockingClient::Start {
  std::promise<void> done;
};

BlockingClient::BlockingClient(ClientOptions options) {
  Start start;
  std::future<void> started = start.done.get_future();
  thread_ = std::thread(
      [this, options = std::move(options), &start]() mutable { serve(std::move(options), start); });
  try {
    started.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

BlockingClient::~BlockingClient() {
  executor_->executeSync([this]() { stop_->fulfill(); });
  thread_.join();
}

void BlockingClient::serve(ClientOptions options, Start& start) {
  bool told = false;
  try {
    kj::AsyncIoContext io = kj::setupAsyncIo();
    Client client(io, std::move(options));
    auto stop = kj::newPromiseAndFulfiller<void>();
    client_ = &client;
    executor_ = kj::getCurrentThreadExecutor().addRef();
    stop_ = kj::mv(stop.fulfiller);
    told = true;
    start.done.set_value();  // `start` is gone from here on
    stop.promise.wait(io.waitScope);
    stop_ = nullptr;
  } catch (...) {
    if (told) throw;
    start.done.set_exception(std::current_exception());
  }
}

Outcome BlockingClient::call(const std::string& group, MethodId method,
                             kj::ArrayPtr<const capnp::word> params) {
  return run([&](Client& client) {
    return client.group(group)->call(method, params).then([](Outcome&& outcome) {
      return copied(std::move(outcome));
    });
  });
}

Outcome BlockingClient::query(const std::string& group, MethodId method,
                              kj::ArrayPtr<const capnp::word> params, Freshness freshness) {
  return run([&](Client& client) {
    return client.group(group)->query(method, params, freshness).then([](Outcome&& outcome) {
      return copied(std::move(outcome));
    });
  });
}

}  // namespace flotilla::client
