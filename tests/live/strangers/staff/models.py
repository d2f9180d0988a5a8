"""A hospital's own people: no user names, and primary keys that are no numbers."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models


class People(BaseUserManager):
    def create_user(self, mail, password):
        person = self.model(mail=mail)
        person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    mail = models.EmailField(unique=True)
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)

    objects = People()
    USERNAME_FIELD = EMAIL_FIELD = "mail"

    def __str__(self):
        return self.mail
