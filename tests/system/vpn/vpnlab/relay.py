#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""relay.py TAP TAP SEED LOSS DUPLICATION REORDERING DELAY_MS: carries Ethernet frames between two TAP devices and loses, doubles, delays and
reorders them. The three shares are per cent; the seed makes the decisions the same in each run. A frame that is reordered waits another
DELAY_MS + 5 ms."""
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def open_tap(name):
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


class Relay:
    def __init__(self, taps, seed, loss, duplication, reordering, delay):
        self.taps, self.random = [open_tap(name) for name in taps], random.Random(seed)
        self.loss, self.duplication, self.reordering, self.delay = loss, duplication, reordering, delay
        self.waiting, self.number = [], 0

    def take(self, side):
        while True:
            try:
                frame = os.read(self.taps[side], 2048)
            except BlockingIOError:
                return
            if self.random.random() * 100 < self.loss:
                continue
            copies = 2 if self.random.random() * 100 < self.duplication else 1
            for _ in range(copies):
                late = self.delay + 0.005 if self.random.random() * 100 < self.reordering else 0
                self.number += 1
                heapq.heappush(self.waiting, (time.monotonic() + self.delay + late, self.number, 1 - side, frame))

    def give(self):
        while self.waiting and self.waiting[0][0] <= time.monotonic():
            _, _, side, frame = heapq.heappop(self.waiting)
            try:
                os.write(self.taps[side], frame)
            except OSError:
                pass  # a full queue, as on a cable

    def run(self):
        while True:
            self.give()
            left = max(0, self.waiting[0][0] - time.monotonic()) if self.waiting else None
            for descriptor in select.select(self.taps, [], [], left)[0]:
                self.take(self.taps.index(descriptor))


if __name__ == "__main__":
    numbers = [float(word) for word in sys.argv[4:8]]
    Relay(sys.argv[1:3], int(sys.argv[3]), *numbers[:3], numbers[3] / 1000).run()
