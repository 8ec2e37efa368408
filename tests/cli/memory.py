"""How many times a word stands in the memory that a process can write. usage: memory.py PID WORD"""

import re
import sys


def main():
    pid, word = sys.argv[1], sys.argv[2].encode()
    found = 0
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as memory:
        for line in maps:
            first, last, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if "w" in rights and "[v" not in line:
                memory.seek(int(first, 16))
                found += memory.read(int(last, 16) - int(first, 16)).count(word)
    print(found)


main()
